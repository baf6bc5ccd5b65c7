"""The radiograph renderer beside DiffDRR (Gopalakrishnan & Golland 2022) on a volume of the same knee: how far the line integrals differ, and what a picture costs on this processor.

    python tests/benchmarks/bench_drr.py [--voxel 0.75] [--size 128] [--knees 3] [--out realism] [--keep]

DiffDRR and its dependencies are no part of the kit: pip install diffdrr. The picture (kit, DiffDRR, difference) goes into a folder that is not part of the repository;
`--keep` puts the numbers among the kit's kept tables, which the radiograph notebook shows.
"""
import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch


def volume(scene, voxel, kev):
    "Attenuation in 1/mm of the bones of a knee, (x, y, z) with z towards the viewer, and its grid: cortex and evenly dense marrow space, partial volume at edges."
    from rheumkit.phantom.knee import Knee, _plate, _shell, field_mm
    from rheumkit.phantom.radiograph import attenuation
    from rheumkit.phantom.shapes import Grid
    n, depth = round(field_mm/voxel), round(92/voxel)
    knee, where = Knee(scene.person, scene.severities), scene.grid()
    middle = [float(where.axis(i)[:m].mean()) for i, m in ((1, scene.size[0]), (2, scene.size[1]))]
    grid = Grid((depth, n, n), (voxel,)*3, (where.centre[0], *middle))
    z, y, x = grid.axis(0).view(-1, 1, 1), grid.axis(1).view(1, -1, 1), grid.axis(2).view(1, 1, -1)
    total = torch.zeros(grid.size)
    for bone, plate in _plate.items():
        d = getattr(knee, bone)().distance(x, y, z).expand(grid.size)
        wall = plate*scene.person["cortex"]*_shell(bone, scene.person["grain"], *(v/knee.size for v in (x, y, z)))
        whole, inner = ((.5-v/voxel).clamp(0, 1) for v in (d, d+wall))
        total += (whole-inner) + .19*inner
    return total.permute(2, 1, 0)*attenuation("bone", kev), grid


def ours(scene, kev):
    "The kit's line integrals of the same: no grain, no flesh."
    from rheumkit.phantom.knee import Knee, bone_paths
    from rheumkit.phantom.radiograph import attenuation
    maps = bone_paths(Knee(scene.person, scene.severities), scene.grid(), scene.every)
    h, w = scene.size
    return torch.from_numpy(sum(cortex+.19*marrow for cortex, marrow in maps.values())[:h, :w]*attenuation("bone", kev))


def theirs(mu, grid, scene, renderer):
    "A DiffDRR projector with a source so far away (20 m) that its rays are all but parallel: function that gives the (height, width) line integrals."
    import torchio
    from diffdrr.data import read
    from diffdrr.drr import DRR
    from diffdrr.pose import convert
    from rheumkit.phantom.knee import field_mm
    voxel, far = grid.spacing[0], 2e4
    affine = np.diag([voxel, voxel, voxel, 1.])
    subject = read(torchio.ScalarImage(tensor=mu[None], affine=affine), orientation=None, center_volume=True)
    subject.density = torchio.ScalarImage(tensor=mu[None], affine=subject.volume.affine)   # not Hounsfield units: attenuation as it is
    drr = DRR(subject, sdd=far+100, height=scene.size[0], width=scene.size[1], delx=field_mm/scene.size[1]*(far+100)/far, renderer=renderer, reverse_x_axis=False)
    pose = convert(torch.zeros(1, 3), torch.tensor([[0., 0., -far]]), parameterization="euler_angles", convention="ZXY")
    return lambda: drr(pose)[0, 0].flip(0).detach()


def timed(f, n=3):
    "Result, and seconds of the fastest of n runs."
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        out = f()
        seconds.append(time.perf_counter()-start)
    return out, min(seconds)


def compare(a):
    "A table of differences and times, and the picture."
    from PIL import Image

    from rheumkit.phantom.knee import knee_disease, knee_person, knee_scene
    torch.set_num_threads(1)
    rows, kev = [], 42.
    for seed in range(a.knees):
        rng = np.random.default_rng(seed)
        person = knee_person(rng)
        severities = knee_disease(person, "L", 0, rng)
        scene = knee_scene(person, "L", severities, (a.size, a.size))
        mu, grid = volume(scene, a.voxel, kev)
        kit, seconds = timed(lambda p=person, v=severities: ours(knee_scene(p, "L", v, (a.size, a.size)), kev))
        for renderer in ("siddon", "trilinear"):
            peer, peer_seconds = timed(theirs(mu, grid, scene, renderer))
            inside = peer > .1*float(peer.max())
            rows.append({"seed": seed, "DiffDRR": renderer, "correlation": float(np.corrcoef(kit.flatten(), peer.flatten())[0, 1]),
                         "mean difference, % of the mean": 100*float((kit-peer)[inside].abs().mean()/peer[inside].mean()), "bias, %": 100*float((kit-peer)[inside].mean()/peer[inside].mean()),
                         "kit, ms": 1000*seconds, "DiffDRR, ms": 1000*peer_seconds})
            if seed == 0 and renderer == "siddon": side = torch.cat([kit/peer.max(), peer/peer.max(), (.5+2*(kit-peer)/peer.max())], 1)
    a.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray((side.clamp(0, 1).numpy()*255).astype(np.uint8)).resize((3*3*a.size, 3*a.size)).save(a.out/"drr.png")
    print(f"bones of a knee at {a.size} × {a.size}, volume of {a.voxel} mm, one thread; making the volume is not counted")
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    if a.keep:
        from rheumkit.core.sweeps import save_results
        save_results("drr", pd.DataFrame(rows), ["rheumkit.phantom.knee"], voxel_mm=a.voxel, size=a.size)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--voxel", type=float, default=.75, help="mm")
    ask.add_argument("--size", type=int, default=128)
    ask.add_argument("--knees", type=int, default=3)
    ask.add_argument("--out", type=Path, default=Path("realism"))
    ask.add_argument("--keep", action="store_true", help="keep the table in the package")
    a = ask.parse_args()
    try: import diffdrr.drr  # noqa: F401
    except ImportError as error:
        if a.keep: raise SystemExit(f"nothing to keep: DiffDRR is not here ({error}); pip install diffdrr") from error
        print(f"skipped: DiffDRR is not here ({error}); pip install diffdrr, then run this again")
    else: compare(a)


if __name__ == "__main__": main()

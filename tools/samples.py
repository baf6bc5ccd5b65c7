"""Make data_samples/: small simulated cohorts as `rheumkit simulate` writes them, DICOM, tables and outlines. The same versions and seeds give the same bytes
on one kind of processor; another kind rounds otherwise, and here and there a pixel falls on the next grey level (`strays`).

python tools/samples.py [folder]
"""
import hashlib
import json
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rheumkit.images.dicom import read_dicom
from rheumkit.images.objects import read_segments
from rheumkit.phantom.files import read_simulated, write_simulated

SAMPLES = {"knees": dict(name="knee-radiograph", patients=24, visits=1, seed=11),
           "hands": dict(name="hand-radiograph", patients=8, visits=1, sides=("R",), seed=12),
           "wrists": dict(name="wrist-mri", patients=3, visits=1, sides=("R",), seed=13)}

README = """# Simulated samples

Every image in this folder was computed; no patient was imaged. The DICOM files say so themselves (SyntheticData = YES).

| folder | what |
|---|---|
{rows}

`table.csv` holds one row per image: who, which side, which scanner, the scores as a simulated reader read them, the true scores (`…_true`)
and where the files are.

| where | what |
|---|---|
| `images/` | radiographs (CR), one file each; MRI (MR), a folder for each wrist, in it one for each contrast, one file a slice |
| `masks/structures/` and other label maps | DICOM SEG, one segment for each structure |
| `masks/lesions/*.dcm` | DICOM SEG, one segment for each kind of lesion; kinds overlap |
| `masks/lesions/*.npz` | how much of each pixel a lesion has changed, one array with one map for each kind |

In Python: `Cohort.from_table("data_samples/knees/table.csv")`, or, to get back the cohort as it was simulated,
`read_simulated("data_samples/knees")` of `rheumkit.phantom.files`.

Made by `make samples`; the same versions and seeds give the same bytes (`checksums.json`)
on the same kind of processor. Another kind rounds otherwise: here and there a pixel falls on the next grey level, and the last digits of the tables differ.
Licence: CC BY 4.0, as the lessons' text.
"""


def versions() -> dict:
    "What the bytes depend on, but for the kit's own version (which stands in every simulation.json)."
    return {"machine": platform.machine()} | {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "pandas", "pydicom", "highdicom")}


def make(folder: Path, samples: dict = SAMPLES) -> Path:
    "Write every sample cohort anew. CohortError where its folder holds something that is no simulation."
    torch.set_num_threads(1)
    folder, rows = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in samples.items():
        if (folder/name/"simulation.json").is_file(): shutil.rmtree(folder/name)
        write_simulated(folder=folder/name, progress=False, **settings)
        cohort = read_simulated(folder/name)
        rows.append(f"| `{name}/` | {len(cohort)} images of {len(cohort.patients)} simulated patients, recipe `{settings['name']}`, seed {settings['seed']} |")
    (folder / "README.md").write_text(README.format(rows="\n".join(rows)), encoding="utf-8", newline="\n")
    (folder / "checksums.json").write_text(json.dumps({"versions": versions(), "sha256": checksums(folder)}, indent=1) + "\n", encoding="utf-8", newline="\n")
    return folder


def checksums(folder: Path) -> dict:
    "File -> SHA-256 of what it holds, for everything but checksums.json itself."
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != "checksums.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(content(p)).hexdigest() for p in files}


def content(path: Path) -> bytes:
    "The bytes of a file; of masks (.npz) those of the arrays, as releases of Python write the zip around them differently."
    if path.suffix != ".npz": return path.read_bytes()
    with np.load(path) as file: held = {name: file[name] for name in sorted(file.files)}
    return b"".join(f"{name} {a.dtype} {a.shape} ".encode() + a.tobytes() for name, a in held.items())


def strays(one: Path, other: Path, level: float = 1/2047, share: float = .005) -> list:
    """Where two folders of samples differ by more than rounding: what is said of each file that does.

    Rounding may move a pixel by a level of the detector (`level`, as a share of the image's range) and an amount of a lesion by a step
    of float16 (at most twice that), in at most `share` of the pixels, and the tables' numbers in their last digits.
    Outlines, words and whole numbers are the same.
    """
    found, files = [], [set(checksums(folder)) for folder in (one, other)]
    found += [f"{name}: only in one of the folders" for name in sorted(files[0] ^ files[1])]
    for name in sorted(files[0] & files[1]):
        a, b = Path(one)/name, Path(other)/name
        if content(a) == content(b): continue
        if a.suffix == ".csv":
            try: pd.testing.assert_frame_equal(pd.read_csv(a), pd.read_csv(b), rtol=1e-9, atol=1e-9)
            except AssertionError as e: found.append(f"{name}: {e}")
        elif a.suffix == ".dcm" and "masks" in a.parts:      # the image it belongs to has another identifier when a pixel of it has moved
            (x, named), (y, other_names) = read_segments(a), read_segments(b)
            if named != other_names or not torch.equal(x, y): found.append(f"{name}: other outlines")
        elif a.suffix in (".dcm", ".npz"):
            x, y = (amounts(p) if p.suffix == ".npz" else read_dicom(p).pixels.numpy().astype(float) for p in (a, b))
            if x.shape != y.shape: found.append(f"{name}: another shape, {x.shape} and {y.shape}"); continue
            gap = np.abs(x - y)/max(np.ptp(x), 1e-9)
            moved, most = (gap > 1e-6).mean(), 2*level if a.suffix == ".npz" else level
            if gap.max() > most or moved > share:
                found.append(f"{name}: values differ by up to {gap.max():.3%} of the range, in {moved:.2%} of pixels")
        else: found.append(f"{name}: other content")
    return found


def amounts(path: Path) -> np.ndarray:
    "The lesion maps of an .npz file."
    with np.load(path) as file: return file["truth"].astype(float)


if __name__ == "__main__":
    made = make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "data_samples")
    sizes = [p.stat().st_size for p in made.rglob("*") if p.is_file()]
    print(f"{made}: {len(sizes)} files, {sum(sizes)/1e6:.1f} MB")

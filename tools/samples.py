"""Make data_samples/: small simulated cohorts as DICOM, tables and masks. The same versions and seeds give the same bytes.

python tools/samples.py [folder]
"""
import hashlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from rheumkit.images.cohort import Cohort
from rheumkit.phantom.recipes import simulate

SAMPLES = {"knees": dict(name="knee-radiograph", patients=24, visits=1, seed=11),
           "hands": dict(name="hand-radiograph", patients=8, visits=1, seed=12),
           "wrists": dict(name="wrist-mri", patients=3, visits=1, sides=("R",), seed=13)}

README = """# Simulated samples

Every image in this folder was computed; no patient was imaged. The DICOM files say so themselves (SyntheticData = YES).

| folder | what |
|---|---|
{rows}

`table.csv` holds one row per image: who, which side, which scanner, the scores as a simulated reader read them, and the true scores (`…_true`).
`masks/structures/` holds label maps, one number a structure. In Python: `Cohort.from_table("data_samples/knees/table.csv")`.

Made by `make samples`; the same versions and seeds give the same bytes (`checksums.json`). Licence: CC BY 4.0, as the lessons' text.
"""


def versions() -> dict:
    "What the bytes depend on."
    return {"machine": platform.machine()} | {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "pandas", "pydicom")}


def make(folder: Path, samples: dict = SAMPLES) -> Path:
    "Simulate every sample cohort and save it with its structures (lesion maps are left out: they can be simulated again, and are large)."
    torch.set_num_threads(1)
    folder, rows = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in samples.items():
        cohort = simulate(**settings)
        only = Cohort(cohort.table, cohort.pixels, truth={"structures": cohort.truth["structures"]}, spacing=cohort.spacing, name=cohort.name, simulated=True)
        only.save(folder / name, overwrite=True)
        rows.append(f"| `{name}/` | {len(only)} images of {len(only.patients)} simulated patients, recipe `{settings['name']}`, seed {settings['seed']} |")
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


if __name__ == "__main__":
    made = make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "data_samples")
    sizes = [p.stat().st_size for p in made.rglob("*") if p.is_file()]
    print(f"{made}: {len(sizes)} files, {sum(sizes)/1e6:.1f} MB")

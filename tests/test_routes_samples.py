"data_samples/: same seed, same bytes; small; every file says that it is synthetic; a validator accepts every kind of them."
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pydicom
import pytest


def test_made_twice_gives_the_same_bytes(tmp_path):
    import samples
    few = {name: dict(settings, patients=1) for name, settings in samples.SAMPLES.items()}
    one, two = (samples.checksums(samples.make(tmp_path/name, few)) for name in ("one", "two"))
    assert one == two and any(name.endswith(".dcm") for name in one)


def test_the_committed_samples_are_what_the_maker_makes(root, tmp_path):
    import samples
    kept = json.loads((root/"data_samples"/"checksums.json").read_text())
    assert samples.checksums(root/"data_samples") == kept["sha256"]
    if samples.versions() != kept["versions"]: pytest.skip(f"made with {kept['versions']}, here is {samples.versions()}: bytes may differ")
    again = samples.make(tmp_path/"again")
    if samples.checksums(again) != kept["sha256"]: assert samples.strays(root/"data_samples", again) == []     # another kind of processor rounds otherwise


def test_samples_that_differ_by_more_than_rounding_are_named(root, tmp_path):
    import samples
    copy = shutil.copytree(root/"data_samples", tmp_path/"copy")
    assert samples.strays(root/"data_samples", copy) == []
    knees = copy/"knees"
    table, image, lost = knees/"table.csv", *(sorted((knees/where).glob("*.dcm"))[0] for where in ("images", "masks/structures"))
    amounts = max((knees/"masks"/"lesions").glob("*.npz"), key=lambda p: (p.stat().st_size, p.name)); outline = amounts.with_suffix(".dcm")
    rows = pd.read_csv(table); rows["body_mass_index"] *= 1 + 1e-12; rows.to_csv(table, index=False)
    ds = pydicom.dcmread(image); pixels = ds.pixel_array.copy(); pixels[3, 4] += 1; ds.PixelData = pixels.tobytes(); ds.save_as(image)
    seg = pydicom.dcmread(outline); seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "2.25.1"; seg.save_as(outline)
    truth = samples.amounts(amounts).astype(np.float16); most = np.unravel_index(truth.argmax(), truth.shape); truth[most] = np.nextafter(truth[most], np.float16(0)); np.savez_compressed(amounts, truth=truth)
    assert truth[most] > 0 and samples.strays(root/"data_samples", copy) == [], "a level in one pixel, a step of float16, another identifier and the last digit of a number are rounding"
    rows.loc[0, "body_mass_index"] += .1; rows.to_csv(table, index=False)
    pixels[10:60, 10:60] //= 2; ds.PixelData = pixels.tobytes(); ds.save_as(image)
    seg.PixelData = bytes(len(seg.PixelData)); seg.save_as(outline)
    truth[most] /= 2; np.savez_compressed(amounts, truth=truth)
    lost.unlink()
    assert [said.split(":")[0] for said in samples.strays(root/"data_samples", copy)] == [p.relative_to(copy).as_posix() for p in (lost, image, outline, amounts, table)]


def test_small_and_marked_as_synthetic(root):
    import pydicom
    files = [p for p in (root/"data_samples").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 10e6
    images = [p for p in files if p.suffix == ".dcm"]
    assert images
    for p in images: assert pydicom.dcmread(p, stop_before_pixels=True).SyntheticData == "YES"


def test_samples_read_back_as_cohorts(root):
    "By the reader of anybody's folder, and by the one that gives back what was simulated."
    import samples
    from rheumkit.images.cohort import Cohort
    from rheumkit.phantom.files import read_simulated
    from rheumkit.phantom.recipes import simulate
    for name, settings in samples.SAMPLES.items():
        plain, again, fresh = Cohort.from_table(root/"data_samples"/name/"table.csv"), read_simulated(root/"data_samples"/name), simulate(**settings)
        for cohort in (plain, again):
            assert cohort.simulated and list(cohort.table.image_id) == list(fresh.table.image_id) and {"structures", "lesions"} <= set(cohort.truth)
            assert cohort.pixels[0].shape == fresh.pixels[0].shape and cohort.truth["structures"][0].shape == fresh.truth["structures"][0].shape and np.allclose(cohort.spacing, fresh.spacing, rtol=1e-4)
        pd.testing.assert_frame_equal(again.table, fresh.table, check_dtype=False)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_a_validator_accepts_the_samples(root):
    "The first and the last object of every kind; all but one complaint: that version of dciodvfy does not know the attribute (0008,001C) Synthetic Data, which PS3.3 added in 2023."
    kinds = {}
    for file in sorted((root/"data_samples").rglob("*.dcm")): kinds.setdefault((*file.relative_to(root/"data_samples").parts[:2], file.parent.name), []).append(file)
    assert {kind[:2] for kind in kinds} == {(name, part) for name in ("knees", "hands", "wrists") for part in ("images", "masks")}
    for file in (f for files in kinds.values() for f in (files[0], files[-1])):
        said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error") and "(0x0008,0x001c)" not in line]
        assert not errors, f"{file}: {errors}"

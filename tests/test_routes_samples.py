"data_samples/: same seed, same bytes; small; every file says that it is synthetic."
import json
import shutil

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
    table, image, mask = copy/"knees"/"table.csv", *(sorted((copy/"knees").rglob(p))[0] for p in ("*.dcm", "*.png"))
    rows = pd.read_csv(table); rows["body_mass_index"] *= 1 + 1e-12; rows.to_csv(table, index=False)
    ds = pydicom.dcmread(image); pixels = ds.pixel_array.copy(); pixels[3, 4] += 1; ds.PixelData = pixels.tobytes(); ds.save_as(image)
    assert samples.strays(root/"data_samples", copy) == [], "a level in one pixel and the last digit of a number are rounding"
    rows.loc[0, "body_mass_index"] += .1; rows.to_csv(table, index=False)
    pixels[10:60, 10:60] //= 2; ds.PixelData = pixels.tobytes(); ds.save_as(image)
    mask.unlink()
    assert [said.split(":")[0] for said in samples.strays(root/"data_samples", copy)] == [p.relative_to(copy).as_posix() for p in (mask, image, table)]


def test_small_and_marked_as_synthetic(root):
    import pydicom
    files = [p for p in (root/"data_samples").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 10e6
    images = [p for p in files if p.suffix == ".dcm"]
    assert images
    for p in images: assert pydicom.dcmread(p, stop_before_pixels=True).SyntheticData == "YES"


def test_samples_read_back_as_cohorts(root):
    from rheumkit.images.cohort import Cohort
    for name in ("knees", "hands", "wrists"):
        cohort = Cohort.from_table(root/"data_samples"/name/"table.csv")
        assert cohort.simulated and len(cohort) and "structures" in cohort.truth and cohort.truth["structures"][0].shape[-2:] == cohort.pixels[0].shape[-2:]

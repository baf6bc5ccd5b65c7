"data_samples/: same seed, same bytes; small; every file says that it is synthetic."
import json

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
    assert samples.checksums(samples.make(tmp_path/"again")) == kept["sha256"]


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

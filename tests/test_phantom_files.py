"""`rheumkit simulate`: DICOM objects that a validator accepts, a table and outlines, read back to the same; an interruption hurts nothing."""
import json
import shutil
import subprocess

import pytest
import torch

from rheumkit.cli import main
from rheumkit.images.cohort import CohortError
from rheumkit.phantom import files
from rheumkit.phantom.files import read_simulated, write_simulated
from rheumkit.phantom.recipes import simulate

KINDS = ["hip-radiograph", "wrist-mri", "thigh-mri-t2", "chest-ct", "finger-ultrasound-sweep", "temporal-artery-ultrasound", "nailfold-capillaroscopy"]
SMALL = {"wrist-mri": (4, 40, 40), "chest-ct": (4, 48, 60), "finger-ultrasound-sweep": (3, 48, 48)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("simulated")
    for name in KINDS: write_simulated(name, home/name, patients=1, seed=3, size=SMALL.get(name), progress=False)
    return home


@pytest.mark.parametrize("name", KINDS)
def test_reads_back_equal(written, name):
    again, fresh = read_simulated(written/name), simulate(name, patients=1, seed=3, size=SMALL.get(name))
    assert again.simulated and list(again.table.image_id) == list(fresh.table.image_id)
    x, y = again.pixels[0], fresh.pixels[0]
    span = float(y.max() - y.min())
    # 8 bits for ultrasound and photographs, whole Hounsfield units for CT, 16 bits of the range otherwise
    step = 1/255 if fresh.table.modality[0] in ("US", "XC") else 1. if fresh.table.modality[0] == "CT" else span/65535
    assert x.shape == y.shape and (x - y).abs().max() <= .51*step + 1e-6*span
    assert torch.equal(again.truth["structures"][0], fresh.truth["structures"][0])
    assert (again.truth["lesions"][0] - fresh.truth["lesions"][0]).abs().max() <= 2e-3*max(1., float(fresh.truth["lesions"][0].max()))
    assert again.spacing == pytest.approx(fresh.spacing)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
@pytest.mark.parametrize("name", KINDS)
def test_a_validator_accepts_the_objects(written, name):
    "All but one complaint: that version of dciodvfy does not know the attribute (0008,001C) Synthetic Data, which PS3.3 added in 2023."
    dicom = sorted((written/name).rglob("*.dcm"))
    for file in dicom[::max(1, len(dicom)//6)]:
        said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error") and "(0x0008,0x001c)" not in line]
        assert not errors, f"{file.name}: {errors}"


def test_every_object_says_that_it_is_simulated(written):
    import pydicom
    for file in written.rglob("*.dcm"): assert pydicom.dcmread(file, stop_before_pixels=True).SyntheticData == "YES", file


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    write_simulated("wrist-mri", tmp_path/"again", patients=1, seed=3, size=SMALL["wrist-mri"], progress=False)
    for file in sorted(p for p in (written/"wrist-mri").rglob("*") if p.suffix in (".dcm", ".csv", ".json")):
        assert file.read_bytes() == (tmp_path/"again"/file.relative_to(written/"wrist-mri")).read_bytes(), file.name


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    calls, write = [], files.write_image
    def falls_over(*args, **kwargs):
        calls.append(args[0])
        if len(calls) == 3: raise KeyboardInterrupt
        return write(*args, **kwargs)
    monkeypatch.setattr(files, "write_image", falls_over)
    with pytest.raises(KeyboardInterrupt): write_simulated("hip-radiograph", tmp_path/"hips", patients=3, seed=1, progress=False)
    with pytest.raises(CohortError, match="interrupted"): read_simulated(tmp_path/"hips")
    assert not [p for p in (tmp_path/"hips").rglob("*") if ".part" in p.name]
    write_simulated("hip-radiograph", tmp_path/"hips", patients=3, seed=1, progress=False)
    assert len(calls) == 3 + 4                  # the two that were there are not made again
    assert len(read_simulated(tmp_path/"hips")) == 6


def test_another_folder_is_left_alone(tmp_path, capsys):
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine"/"thesis.txt").write_text("years of work")
    assert main(["simulate", "hip-radiograph", "--patients", "1", "--out", str(tmp_path/"mine")]) == 2
    assert "choose another folder" in capsys.readouterr().err and [p.name for p in (tmp_path/"mine").iterdir()] == ["thesis.txt"]
    assert main(["simulate", "elbow", "--out", str(tmp_path/"elbow")]) == 2
    assert "knee-radiograph" in capsys.readouterr().err and not (tmp_path/"elbow").exists()


def test_the_list_names_every_recipe_and_system(capsys):
    from rheumkit.phantom.registry import where
    from rheumkit.phantom.systems import served
    assert main(["simulate", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in where) and all(system in said for system in served)


def test_a_system_with_two_examinations_writes_both(tmp_path):
    write_simulated("spa-spine-xray-msasss", tmp_path/"spines", patients=1, seed=2, progress=False)
    both = read_simulated(tmp_path/"spines")
    assert len(both) == 2 and both.table.case_id.nunique() == 1 and json.loads((tmp_path/"spines"/"simulation.json").read_text())["patients"] == 1

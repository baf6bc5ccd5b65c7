"""`rheumkit simulate`: DICOM objects that a validator accepts, a table and outlines, read back to the same; an interruption hurts nothing."""
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch

import rheumkit
from rheumkit.cli import main
from rheumkit.images import objects
from rheumkit.images.cohort import Cohort, CohortError
from rheumkit.images.objects import read_mask, read_segments
from rheumkit.phantom import files
from rheumkit.phantom.files import check_wishes, read_simulated, recipe_of, write_simulated
from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.phantom.registry import where

SMALL = {3: (4, 40, 40), 2: (64, 64)}
PAIR, SHAPES = "oa-knee-incident-challenge", "ra-hand-ct-shape"     # a radiograph and an MRI of one knee; outlines alone
DONE = {}


def small(name): return SMALL[len(recipe(name).size)] if name in where else (4, 40, 40) if name == SHAPES else None


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    "Folder of a recipe's (or system's) simulation, at a small size, written when first asked for."
    home = tmp_path_factory.mktemp("simulated")
    def folder(name):
        if name not in DONE:
            write_simulated(name, home/name, patients=1, seed=3, size=small(name), progress=False)
            DONE[name] = home/name
        return DONE[name]
    yield folder
    DONE.clear()


def dicom(folder): return [pydicom.dcmread(f) for f in sorted(folder.rglob("*.dcm"))]


@pytest.mark.parametrize("name", [*where, PAIR, SHAPES])
def test_reads_back_equal(written, name):
    again, fresh = read_simulated(written(name)), simulate(name, patients=1, seed=3, size=small(name))
    pd.testing.assert_frame_equal(again.table, fresh.table, check_dtype=False)
    assert again.simulated and again.spacings == fresh.spacings
    maps = {what for _, row in fresh.table.iterrows() for what in recipe_of(row, name).maps}
    assert set(again.truth) == {"structures", "lesions", *maps}
    for i in range(min(len(fresh), 2)):
        x, y = again.pixels[i], fresh.pixels[i]
        span, modality = float(y.max() - y.min()), fresh.table.modality[i]
        # 8 bits for ultrasound and photographs, whole Hounsfield units for CT, 16 bits of the range otherwise
        step = 1/255 if modality in ("US", "XC") else 1. if modality == "CT" else span/65535
        assert x.shape == y.shape and (x - y).abs().max() <= .51*step + 1e-6*span
        for what in ("structures", *maps): assert torch.equal(again.truth[what][i], fresh.truth[what][i])
        outlined, kinds = read_segments(written(name)/pd.read_csv(written(name)/"table.csv").outline_lesions[i])
        turned = [-3] if files.turns(recipe_of(fresh.table.iloc[i], name), fresh.spacings[i]) else []
        assert kinds == tuple(recipe_of(fresh.table.iloc[i], name).lesions) and torch.equal(outlined.flip(turned), fresh.truth["lesions"][i] > 0)
        assert (again.truth["lesions"][i] - fresh.truth["lesions"][i]).abs().max() <= 2e-3*max(1., float(fresh.truth["lesions"][i].max()))


def test_outlines_of_a_further_map_carry_the_names_of_its_labels(written):
    names = [pydicom.dcmread(p).SegmentSequence for p in sorted((written("wrist-mri")/"masks"/"sheaths").glob("*.dcm"))]
    assert names and all([s.SegmentLabel for s in one] == list(recipe("wrist-mri").maps["sheaths"]) for one in names)


def test_lesions_of_one_pixel_are_told_apart(written):
    "The label map that `read_mask` gives cannot hold what overlaps, and says so; each kind of lesion is a segment of its own, of the code for lesions."
    file = next(p for p in sorted((written("hip-mri")/"masks"/"lesions").glob("*.dcm")) if (read_segments(p)[0].sum(0) > 1).any())
    with pytest.raises(ValueError, match="overlap.*read_segments"): read_mask(file)
    seg = pydicom.dcmread(file)
    assert [s.SegmentLabel for s in seg.SegmentSequence] == list(recipe("hip-mri").lesions) and {s.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for s in seg.SegmentSequence} == {"Lesion"}
    assert seg.SeriesInstanceUID not in {pydicom.dcmread(p).SeriesInstanceUID for p in (written("hip-mri")/"masks"/"structures").glob("*.dcm")}


@pytest.mark.parametrize("column", ["mask_structures", "mask_lesions", "outline_lesions"])
def test_a_row_without_its_files_is_named(written, tmp_path, column):
    shutil.copytree(written("hip-radiograph"), tmp_path/"h")
    table = pd.read_csv(tmp_path/"h"/"table.csv", dtype=str, keep_default_na=False)
    lost = table.loc[1, column]
    (tmp_path/"h"/lost).unlink()
    with pytest.raises(CohortError, match=f"{lost} is not there"): read_simulated(tmp_path/"h")
    table.loc[1, column] = ""
    table.to_csv(tmp_path/"h"/"table.csv", index=False)
    with pytest.raises(CohortError, match=f"row 3 of table.csv: no {column}"): read_simulated(tmp_path/"h")
    write_simulated("hip-radiograph", tmp_path/"h", patients=1, seed=3, size=(64, 64), progress=False)
    for p in written("hip-radiograph").rglob("*"):
        if p.is_file(): assert (tmp_path/"h"/p.relative_to(written("hip-radiograph"))).read_bytes() == p.read_bytes(), p.name


def test_a_folder_from_before_lesions_were_outlined_is_read_and_completed(written, tmp_path):
    shutil.copytree(written("hip-radiograph"), tmp_path/"h", ignore=lambda folder, names: [n for n in names if folder.endswith("lesions") and n.endswith(".dcm")])
    pd.read_csv(tmp_path/"h"/"table.csv", dtype=str, keep_default_na=False).drop(columns="outline_lesions").to_csv(tmp_path/"h"/"table.csv", index=False)
    assert torch.equal(read_simulated(tmp_path/"h").truth["lesions"][0], read_simulated(written("hip-radiograph")).truth["lesions"][0])
    write_simulated("hip-radiograph", tmp_path/"h", patients=1, seed=3, size=(64, 64), progress=False)
    assert len(list((tmp_path/"h"/"masks"/"lesions").glob("*.dcm"))) == 2 and "outline_lesions" in pd.read_csv(tmp_path/"h"/"table.csv")


@pytest.mark.parametrize("name", [*where, PAIR])
def test_the_general_reader_reads_it_as_well(written, name):
    again, plain = read_simulated(written(name)), Cohort.from_table(written(name)/"table.csv")
    assert plain.simulated and list(plain.table.image_id) == list(again.table.image_id)
    for i in range(min(len(again), 2)):
        r = recipe_of(again.table.iloc[i], name)
        assert plain.spacings[i][-2:] == pytest.approx(again.spacings[i][-2:]) and (r.modality == "US" or plain.spacings[i] == pytest.approx(again.spacings[i], rel=1e-4))
        turned = [-3] if files.turns(r, again.spacings[i]) else []
        if not (r.modality in ("US", "XC") and len(again.pixels[i]) == 3): assert torch.equal(plain.pixels[i].flip(turned), again.pixels[i])       # colour becomes luminance there
        for truth in ("structures", "lesions"): assert torch.equal(plain.truth[truth][i].flip(turned), again.truth[truth][i])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
@pytest.mark.parametrize("name", [*where, PAIR, SHAPES])
def test_a_validator_accepts_the_objects(written, name):
    "All but one complaint: that version of dciodvfy does not know the attribute (0008,001C) Synthetic Data, which PS3.3 added in 2023."
    kinds = {}
    for file in sorted(written(name).rglob("*.dcm")): kinds.setdefault((file.relative_to(written(name)).parts[:2], file.parent.name), file)
    assert ("masks", "lesions") in {part for part, _ in kinds}
    for file in [*list(kinds.values())[:6], *(f for (part, _), f in kinds.items() if part == ("masks", "lesions"))][:8]:
        said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error") and "(0x0008,0x001c)" not in line]
        assert not errors, f"{file.name}: {errors}"


def test_every_object_says_that_it_is_simulated(written):
    seen = set()
    for name in where:
        for d in dicom(written(name)):
            seen.add(d.Modality)
            assert d.SyntheticData == "YES" and d.PatientIdentityRemoved == "YES" and "rheumkit" in d.Manufacturer, d.filename
    assert seen == {"CR", "MR", "CT", "US", "XC", "SEG"}


def test_every_volume_lies_in_the_patient_as_its_view_says(written):
    "Along a row, down a column and from slice to slice: head, feet, front, back, left and right of the person who was simulated."
    main_way = lambda v: ("LR", "PA", "HF")[int(np.argmax(np.abs(v)))][int(v[int(np.argmax(np.abs(v)))] < 0)]
    found = {}
    for name in where:
        r = recipe(name)
        for image in sorted((written(name)/"images").iterdir()):
            if r.modality == "DX": found[name] = "".join(pydicom.dcmread(image).PatientOrientation)
            if r.modality not in ("MR", "CT"): continue
            slices = sorted((d for d in dicom(image) if d.SeriesNumber == 1), key=lambda d: d.InstanceNumber)
            way = [*np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)]
            if len(slices) > 1 and "ImagePositionPatient" in slices[0] and len(r.size) == 3: way.append(np.subtract(slices[1].ImagePositionPatient, slices[0].ImagePositionPatient).astype(float))
            found.setdefault(name, "".join(map(main_way, way)))
            assert found[name] == "".join(map(main_way, way)), f"{name}: sides differ"
    coronal, sagittal, axial, front = dict.fromkeys(("hip-mri", "sij-mri", "hand-mri", "hand-mri-arthralgia"), "LFA"), dict.fromkeys(("knee-mri", "knee-mri-t2"), "PFL"), dict.fromkeys(("hand-hrpqct", "chest-ct"), "LPF"), \
        dict.fromkeys(("knee-radiograph", "hip-radiograph", "sij-radiograph"), "LF")
    sij = found.pop("sij-mri")
    assert sij in ("LFA", "LPA", "LFF", "LPF")       # half-way between coronal and axial
    coronal.pop("sij-mri")
    assert found == coronal | sagittal | axial | front | {"wrist-mri": "LHA", "foot-mri": "RHA", "spine-mri": "PFL", "thigh-mri": "LP", "thigh-mri-t2": "LP", "hand-radiograph": "LH", "foot-radiograph": "RP",
                                                          "spine-radiograph-lumbar": "PF", "spine-radiograph-cervical": "PF"}


def centres(seg):
    "Middle of every outlined structure, (left, back, head) in mm of the patient, from a DICOM segmentation and nothing else."
    names, found = {int(d.SegmentNumber): d.SegmentLabel for d in seg.SegmentSequence}, {}
    shared = seg.SharedFunctionalGroupsSequence[0]
    rows, columns = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, across = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    for frame, group in zip(seg.pixel_array.reshape(-1, seg.Rows, seg.Columns), seg.PerFrameFunctionalGroupsSequence):
        r, c = np.nonzero(frame)
        if len(r): found.setdefault(names[int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)], []).append(
            np.array(group.PlanePositionSequence[0].ImagePositionPatient, float) + c[:, None]*across*rows + r[:, None]*down*columns)
    return {name: np.concatenate(points).mean(0) for name, points in found.items()}


@pytest.mark.parametrize("name, first, way, second", [
    ("knee-mri", "patella", "front", "femur"), ("knee-mri", "femur", "head", "tibia"), ("knee-mri", "tibia lateral cartilage", "lateral", "tibia medial cartilage"),
    ("hip-mri", "femur", "lateral", "hip bone"), ("hip-mri", "hip bone", "head", "femur"),
    ("wrist-mri", "metacarpal 1", "lateral", "metacarpal 3"), ("wrist-mri", "radius", "head", "metacarpal 3"), ("wrist-mri", "flexor tendons", "front", "extensor tendons"),
    ("hand-hrpqct", "metacarpal 2", "lateral", "metacarpal 3"), ("hand-hrpqct", "phalanges", "head", "metacarpal 2"),
    ("hand-mri", "phalanx", "head", "metacarpal or metatarsal"), ("hand-mri", "extensor tendon", "front", "flexor tendon"),
    ("foot-mri", "metacarpal or metatarsal", "head", "phalanx"), ("foot-mri", "extensor tendon", "front", "flexor tendon"),
    ("spine-mri", "L4", "front", "canal"), ("spine-mri", "L1", "head", "L5"), ("knee-mri-t2", "patella", "front", "femur"),
    ("chest-ct", "left lower lobe", "left", "right lower lobe"), ("chest-ct", "left upper lobe", "head", "left lower lobe"), ("chest-ct", "heart", "front", "oesophagus"), ("sij-mri", "left ilium", "left", "right ilium"),
    ("sij-mri", "lumbar vertebra", "head", "sacrum"), ("thigh-mri", "vastus lateralis", "lateral", "vastus medialis"), ("thigh-mri", "femur", "front", "sciatic nerve")])
def test_anatomy_lies_where_it_belongs(written, name, first, way, second):
    "In the patient's coordinates, on both sides: in front, towards the head, away from the middle."
    compared = 0
    for seg in dicom(written(name)/"masks"):
        found, side = centres(seg), seg.filename.removesuffix("0.dcm")[-1]
        if not {first, second} <= set(found): continue
        towards = {"front": (0, -1, 0), "head": (0, 0, 1), "left": (1, 0, 0), "lateral": ({"R": -1, "L": 1}.get(side, 0), 0, 0)}[way]
        assert np.dot(found[first] - found[second], towards) > 1, (side, found[first], found[second])
        compared += 1
    assert compared == (2 if len(recipe(name).sides) == 2 else 1), [sorted(centres(seg)) for seg in dicom(written(name)/"masks")]


def test_headers_say_what_recipe_and_scanner_know_and_no_more(written):
    views = {name: {d.ViewPosition for d in dicom(written(name)/"images")} for name in where if recipe(name).modality == "DX"}
    assert views["hand-radiograph"] == {"PA"} and views["knee-radiograph"] == {"AP"} and views["spine-radiograph-lumbar"] == {""}
    ct = dicom(written("hand-hrpqct")/"images")[0]
    machine = recipe("hand-hrpqct").scanners[simulate("hand-hrpqct", patients=1, seed=3, size=(4, 40, 40)).table.scanner[0]]
    assert float(ct.SliceThickness) == machine.thickness and float(ct.KVP) == machine.kvp
    r = recipe("thigh-mri")
    rng = np.random.default_rng(0)
    person = r.person(rng)
    assert dicom(written("thigh-mri")/"images")[0].SliceThickness == r.scene(person, "R", r.disease(person, "R", 0, rng), size=(32, 32)).now.grid.spacing[0]
    assert float(dicom(written("knee-mri")/"images")[0].SliceThickness) == pytest.approx(read_simulated(written("knee-mri")).spacing[0])
    assert {d.ImageLaterality for d in dicom(written("sij-radiograph")/"images")} == {"B"}
    echoes = dicom(written("thigh-mri-t2")/"images")
    assert len({d.SeriesInstanceUID for d in echoes if d.Laterality == "R"}) == 1 and len({d.EchoTime for d in echoes}) == 8


def test_two_examinations_of_one_person_share_the_person_and_nothing_else(written):
    of = {name: dicom(written(name)/"images") for name in ("knee-mri", "knee-mri-t2")}
    uids = {keyword: {name: {str(d[keyword].value) for d in found} for name, found in of.items()} for keyword in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "PatientID")}
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"): assert not set.intersection(*uids[keyword].values()), keyword
    for name, found in of.items(): assert uids["PatientID"][name] == set(read_simulated(written(name)).table.patient_id)
    pair = dicom(written(PAIR)/"images")
    assert {d.Modality for d in pair} == {"CR", "MR"} and len({d.PatientID for d in pair}) == len({d.StudyInstanceUID for d in pair}) == 1
    assert not {d.SeriesInstanceUID for d in pair if d.Modality == "CR"} & {d.SeriesInstanceUID for d in pair if d.Modality == "MR"}


def test_outlines_alone_come_with_the_images_they_were_drawn_on(written):
    assert {d.Modality for d in dicom(written(SHAPES)/"images")} == {"CT"} and min(float(d.pixel_array.max()) for d in dicom(written(SHAPES)/"images")) > 1
    assert set(read_simulated(written(SHAPES)).pixels[0].unique().tolist()) == {0., 1.}


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    write_simulated("wrist-mri", tmp_path/"again", patients=1, seed=3, size=small("wrist-mri"), progress=False)
    every = sorted(p.relative_to(written("wrist-mri")) for p in written("wrist-mri").rglob("*") if p.is_file())
    assert every == sorted(p.relative_to(tmp_path/"again") for p in (tmp_path/"again").rglob("*") if p.is_file())
    for file in every: assert (written("wrist-mri")/file).read_bytes() == (tmp_path/"again"/file).read_bytes(), file
    assert all(b"\r" not in (written("wrist-mri")/f).read_bytes() for f in ("table.csv", "simulation.json"))


def test_an_interruption_in_the_middle_of_a_volume_leaves_no_half_and_the_next_run_completes_it(written, tmp_path, monkeypatch):
    save, seen = objects._save, []
    def falls_over(d, path, stored):
        seen.append(path)
        if len(seen) == 11:                     # 8 slices of the right wrist, then the second of the left
            path.write_bytes(b"half a file")
            raise KeyboardInterrupt
        return save(d, path, stored)
    wish = dict(patients=1, seed=3, size=small("wrist-mri"), progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "_save", falls_over)
        with pytest.raises(KeyboardInterrupt): write_simulated("wrist-mri", tmp_path/"w", **wish)
    assert len(seen) == 11 and [p.name[-2] for p in (tmp_path/"w"/"images").iterdir()] == ["R"]
    there = {p.relative_to(tmp_path/"w"): p for p in (tmp_path/"w").rglob("*") if p.is_file()}
    assert len(there) == 8 + 4 + 1 and not [p for p in (tmp_path/"w").rglob("*") if ".part" in p.name]
    for name, p in there.items(): assert p.read_bytes() == (written("wrist-mri")/name).read_bytes(), name
    with pytest.raises(CohortError, match="interrupted"): read_simulated(tmp_path/"w")
    kept = {p: p.stat().st_mtime_ns for p in there.values() if p.suffix != ".json"}
    write_simulated("wrist-mri", tmp_path/"w", **wish)
    assert kept == {p: p.stat().st_mtime_ns for p in kept}                # what was there is not made again
    for p in written("wrist-mri").rglob("*"):
        if p.is_file(): assert (tmp_path/"w"/p.relative_to(written("wrist-mri"))).read_bytes() == p.read_bytes(), p.name


@pytest.mark.parametrize("kind", ["outlines", "maps"])
def test_an_interruption_between_image_and_truth_leaves_no_half(written, tmp_path, monkeypatch, kind):
    def falls_over(self, path, *rest, **more):
        path.write_bytes(b"half") if hasattr(path, "write_bytes") else None
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        if kind == "maps": patch.setattr(np, "savez_compressed", lambda path, **more: falls_over(None, path))
        else: patch.setattr("highdicom.seg.Segmentation.save_as", falls_over)
        with pytest.raises(KeyboardInterrupt): write_simulated("hip-radiograph", tmp_path/"h", patients=1, seed=3, size=(64, 64), progress=False)
    assert not [p for p in (tmp_path/"h").rglob("*") if ".part" in p.name]
    write_simulated("hip-radiograph", tmp_path/"h", patients=1, seed=3, size=(64, 64), progress=False)
    for p in written("hip-radiograph").rglob("*"):
        if p.is_file(): assert (tmp_path/"h"/p.relative_to(written("hip-radiograph"))).read_bytes() == p.read_bytes(), p.name


def test_the_note_says_what_was_asked_for_and_by_which_version(tmp_path, monkeypatch):
    names = list(recipe("hip-radiograph").scanners)
    wish = dict(patients=2, seed=1, size=(32, 32), progress=False)
    write_simulated("hip-radiograph", tmp_path/"h", scanner=lambda row: names[row["patient"] % 2], **wish)
    note = json.loads((tmp_path/"h"/"simulation.json").read_text(encoding="utf-8"))
    assert note["rheumkit"] == rheumkit.__version__ and note["scanner"] == [names[0]]*2 + [names[1]]*2
    write_simulated("hip-radiograph", tmp_path/"h", scanner=lambda row: names[row["patient"] % 2], **wish)           # the same wish in other words
    with pytest.raises(CohortError, match="another simulation"): write_simulated("hip-radiograph", tmp_path/"h", scanner=lambda row: names[0], **wish)
    monkeypatch.setattr(rheumkit, "__version__", "99.0")
    with pytest.raises(CohortError, match="99.0, whose images may differ"): write_simulated("hip-radiograph", tmp_path/"h", scanner=lambda row: names[row["patient"] % 2], **wish)


@pytest.mark.parametrize("wish, word", [(dict(name="knee-radiografh"), "knee-radiograph"), (dict(name="spa-sij-xray"), "spa-sij-xray-grade"), (dict(name="wrist-mri", scanner="7 T"), "clinic 1.5 T"),
                                        (dict(name="wrist-mri", scanner={"clinic 1.5 T": .5, "7 T": .5}), "'7 T'"), (dict(name="hip-radiograph", size=(3, 4, 5)), "does not fit"),
                                        (dict(name="hip-radiograph", patients=0), "at least one"), (dict(name="hip-radiograph", visits=0), "at least one"),
                                        (dict(name="sij-mri", sides=("R",)), "sij-mri has"), (dict(name="wrist-mri", sides=()), "wrist-mri has"), (dict(name="oa-knee-mri-pain", sides=("R",)), "leave them out")])
def test_what_cannot_be_had_is_said_before_anything_is_written(tmp_path, wish, word):
    with pytest.raises(CohortError, match=word): check_wishes(**wish)
    with pytest.raises(CohortError, match=word): write_simulated(folder=tmp_path/"x", progress=False, **wish)
    assert not (tmp_path/"x").exists()
    check_wishes(PAIR, scanner=next(iter(recipe("knee-mri").scanners)))           # a pair: each examination has its own machines


def test_one_side_alone_can_be_written(tmp_path):
    wish = dict(patients=1, seed=3, size=(32, 32), progress=False)
    write_simulated("hip-radiograph", tmp_path/"h", sides=("R",), **wish)
    again, fresh = read_simulated(tmp_path/"h"), simulate("hip-radiograph", patients=1, seed=3, size=(32, 32), sides=("R",))
    pd.testing.assert_frame_equal(again.table, fresh.table, check_dtype=False)
    assert set(again.table.side) == {"R"} and len(list((tmp_path/"h"/"images").iterdir())) == 1
    with pytest.raises(CohortError, match="another simulation"): write_simulated("hip-radiograph", tmp_path/"h", **wish)


def test_a_mistake_of_ours_shows_where_it_happened(tmp_path, monkeypatch):
    def broken(*args, **kwargs): raise ValueError("shapes do not match")
    monkeypatch.setattr(files, "simulate", broken)
    with pytest.raises(ValueError, match="shapes do not match"): main(["simulate", "hip-radiograph", "--patients", "1", "--out", str(tmp_path/"x")])
    assert main(["simulate", "hip-radiograf", "--out", str(tmp_path/"x")]) == 2


def test_another_folder_is_left_alone(tmp_path, capsys):
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine"/"thesis.txt").write_text("years of work")
    assert main(["simulate", "hip-radiograph", "--patients", "1", "--out", str(tmp_path/"mine")]) == 2
    assert "choose another folder" in capsys.readouterr().err and [p.name for p in (tmp_path/"mine").iterdir()] == ["thesis.txt"]
    assert main(["simulate", "hip-radiograph", "--patients", "1", "--out", str(tmp_path/"mine"/"thesis.txt")]) == 2
    assert "it is a file" in capsys.readouterr().err
    assert main(["simulate", "elbow", "--out", str(tmp_path/"elbow")]) == 2
    assert "knee-radiograph" in capsys.readouterr().err and not (tmp_path/"elbow").exists()


def test_the_list_names_every_recipe_and_system(capsys):
    from rheumkit.phantom.systems import served, serves
    assert main(["simulate", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in where) and all(system in said for system in served)
    assert max(map(len, said.splitlines())) <= 100 and not said.count("\n\n")
    lines = said.splitlines()
    for name in where:                                                # under each recipe, its title and its systems, up to the next recipe
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}  ("))
        end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
        assert all(system in " ".join(lines[start:end]) for system in serves(name))


def test_a_system_with_two_examinations_writes_both(tmp_path):
    write_simulated("spa-spine-xray-msasss", tmp_path/"spines", patients=1, seed=2, progress=False)
    both = read_simulated(tmp_path/"spines")
    assert len(both) == 2 and both.table.case_id.nunique() == 1 and json.loads((tmp_path/"spines"/"simulation.json").read_text())["patients"] == 1

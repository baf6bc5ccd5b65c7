"""The cohort: tables nobody proofread, splits on other machines, folders that must stay whole."""
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import rheumkit.images.cohort as module
from rheumkit.images.cohort import Cohort, CohortError
from rheumkit.images.objects import write_image, write_mask

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cohort(patients=10, sides="LR", visits=2, seed=0, size=(8, 9), **more):
    rng = np.random.default_rng(seed)
    rows = [dict(image_id=f"{p}{s}{v}", patient_id=f"P{p}", side=s, visit=v, kl=int(rng.integers(5))) for p in range(patients) for s in sides for v in range(visits)]
    return Cohort(pd.DataFrame(rows), torch.rand(len(rows), 1, *size, generator=torch.Generator().manual_seed(seed)), **more)


def write_images(folder, names):
    for k, name in enumerate(names): Image.fromarray(np.full((6, 5), 40*k % 256, np.uint8)).save(folder/name)


@st.composite
def tables(draw):
    patients = draw(st.lists(st.text("abcXYZ0123 -", min_size=1, max_size=4).filter(str.strip), min_size=3, max_size=25, unique=True))
    rows = [(p, k) for p in patients for k in range(draw(st.integers(1, 5)))]
    return pd.DataFrame({"image_id": [f"{p}/{k}" for p, k in rows], "patient_id": [p for p, _ in rows],
                         "grade": draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))),
                         "word": draw(st.lists(st.sampled_from(["a", "b"]), min_size=len(rows), max_size=len(rows)))})


fractions = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8)).map(lambda f: tuple(x/sum(f) for x in f))


@quick
@given(tables(), st.integers(0, 1000), fractions, st.sampled_from([None, "grade", "word"]))
def test_a_split_by_patient_loses_nobody_and_shares_nobody(table, seed, parts, stratify):
    c = Cohort(table, torch.zeros(len(table), 1, 2, 2))
    try: split = c.split(seed=seed, fractions=parts, stratify=stratify)
    except CohortError as error:
        assert "too few" in str(error) and len(c.patients) < 20
        return
    patients = [set(p.patients) for p in split]
    assert not patients[0] & patients[1] and not patients[0] & patients[2] and not patients[1] & patients[2]
    assert sorted(i for p in split for i in p.table.image_id) == sorted(table.image_id)
    assert all(abs(len(p) - f*len(c.patients)) <= 1.01 for p, f in zip(patients, parts)) or stratify
    assert all(abs(len(p) - f*len(c.patients)) <= 2.01 for p, f in zip(patients, parts))
    again = Cohort(table.sample(frac=1, random_state=seed), torch.zeros(len(table), 1, 2, 2)).split(seed=seed, fractions=parts, stratify=stratify)
    assert [set(p.patients) for p in again] == patients               # the order of the rows does not matter


def test_each_grade_is_dealt_out_in_proportion():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"image_id": range(1000), "patient_id": [f"p{k//2}" for k in range(1000)], "kl": rng.integers(0, 5, 1000)})
    c = Cohort(table, torch.zeros(1000, 1, 1, 1))
    worst = table.groupby("patient_id").kl.max()
    for part, share in zip(c.split(stratify="kl", seed=3), (.6, .2, .2)):
        counts = worst[list(part.patients)].value_counts()
        assert (abs(counts - share*worst.value_counts()) <= 1.01).all()


def test_a_split_is_the_same_in_another_process_with_another_hash_seed():
    code = ("import pandas as pd, torch; from rheumkit.images.cohort import Cohort;"
            "c = Cohort(pd.DataFrame({'image_id': range(60), 'patient_id': [f'p{k//3}' for k in range(60)], 'g': [k % 4 for k in range(60)]}), torch.zeros(60, 1, 1, 1));"
            "print([sorted(p.patients) for p in c.split(seed=5, stratify='g')])")
    told = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True).stdout for seed in (1, 2)}
    assert len(told) == 1 and "p1" in told.pop()


def test_a_part_may_be_left_empty_on_purpose():
    split = cohort().split(fractions=(.8, 0, .2))
    assert len(split.valid) == 0 and len(split.train.patients) == 8 and split.valid.tensor().shape[0] == 0


def test_split_by_image_shares_patients_and_by_a_column_keeps_it_together():
    c = cohort()
    split = c.split(by="image")
    assert set(split.train.patients) & set(split.test.patients)
    c.table["centre"] = [f"h{p[1:] if int(p[1:]) < 5 else 'x'}" for p in c.table.patient_id]
    split = c.split(by="centre")
    assert not set(split.train.table.centre) & set(split.test.table.centre)


bad_cells = {"patient_id": [""], "image": ["", "none.png", "broken.png", "odd.xyz", "empty.png"], "kl": ["", "?", "nan", "two"]}


@quick
@given(st.lists(st.tuples(st.integers(0, 19), st.sampled_from(["patient_id", "image", "kl"]), st.integers(0, 9)), min_size=1, max_size=8, unique_by=lambda d: d[0]))
def test_every_bad_row_is_listed_once_and_no_good_one(tmp_path_factory, damage):
    folder = tmp_path_factory.mktemp("table")
    names = [f"{k}.png" for k in range(20)]
    write_images(folder, names)
    (folder/"broken.png").write_bytes(b"nothing")
    (folder/"odd.xyz").write_bytes(b"nothing")
    (folder/"empty.png").write_bytes(b"")
    table = pd.DataFrame({"image": names, "patient_id": [f"p{k//2}" for k in range(20)], "kl": [str(k % 5) for k in range(20)]})
    used = set()
    expected = set()
    for row, column, which in damage:
        value = bad_cells[column][which % len(bad_cells[column])]
        if value in used and value: continue                           # a file named twice is another mistake
        used.add(value if column == "image" else "")
        table.loc[row, column] = value
        expected.add(row + 2)
    table.to_csv(folder/"t.csv", index=False)
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    with pytest.raises(CohortError) as caught: Cohort.from_table(folder/"t.csv", labels="kl")
    listed = [int(p.split(",")[0].removeprefix("row ")) for p in caught.value.problems]
    assert listed == sorted(expected)
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_duplicates_missing_columns_and_other_tables_are_told(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"])
    def told(text, **how):
        (tmp_path/"t.csv").write_text(text)
        with pytest.raises(CohortError) as caught: Cohort.from_table(tmp_path/"t.csv", **how)
        assert "t.csv" in str(caught.value)
        return str(caught.value)
    assert "row 3" in (m := told("image,patient_id\na.png,1\na.png,2\n")) and "same file as in row 2" in m
    assert "same file" in told("image,patient_id\na.png,1\n./a.png,2\n")
    assert "no column 'patient_id'" in (m := told("image,kl\na.png,1\n", labels=["kl", "sex"])) and "no column 'sex'" in m and "'image', 'kl'" in m
    assert "empty" in told("") and "no rows" in told("image,patient_id\n")
    assert "no such file" in str(pytest.raises(CohortError, Cohort.from_table, tmp_path/"none.csv").value)


@pytest.mark.parametrize("mark, encoding", [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "cp1252")])
def test_tables_as_spreadsheets_save_them(tmp_path, mark, encoding):
    write_images(tmp_path, ["knöchel.png", "b.png"])
    (tmp_path/"t.csv").write_bytes(f"image{mark} patient_id{mark}side{mark}kl\r\nknöchel.png{mark}007{mark}L{mark}1\r\n\r\n b.png {mark}08{mark}R{mark}2,5\r\n".replace("2,5", '"2"').encode(encoding))
    c = Cohort.from_table(tmp_path/"t.csv", labels="kl")
    assert list(c.table.patient_id) == ["007", "08"] and c.targets("kl").tolist() == [1, 2] and list(c.table.image_id) == ["knöchel", "b"]


def test_a_picture_cut_short_is_named_when_it_is_decoded(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8)).save(tmp_path/"a.jpg")
    (tmp_path/"b.jpg").write_bytes((tmp_path/"a.jpg").read_bytes()[:1500])
    (tmp_path/"t.csv").write_text("image,patient_id\na.jpg,1\nb.jpg,2\n")
    with pytest.raises(CohortError, match="b.jpg"): Cohort.from_table(tmp_path/"t.csv").tensor()


def test_pictures_become_zero_to_one_and_sizes_keep_the_aspect(tmp_path):
    Image.fromarray(np.full((40, 20), 255, np.uint8)).save(tmp_path/"a.png")
    Image.fromarray(np.full((40, 20), 65535, np.uint16)).save(tmp_path/"b.png")
    Image.fromarray(np.full((40, 20, 3), 255, np.uint8)).save(tmp_path/"c.png")
    np.save(tmp_path/"d.npy", np.full((40, 20), 1., np.float64))
    (tmp_path/"t.csv").write_text("image,patient_id\n" + "".join(f"{f},1\n" for f in ("a.png", "b.png", "c.png", "d.npy")))
    c = Cohort.from_table(tmp_path/"t.csv")
    assert c.tensor().shape == (4, 1, 40, 20) and c.tensor().dtype == torch.float32 and (c.tensor() - 1).abs().max() < 1e-5
    small = Cohort.from_table(tmp_path/"t.csv", size=20)
    assert small.tensor().shape == (4, 1, 20, 20)
    assert Cohort.from_table(tmp_path/"t.csv", size=(10, 30)).pixels[0].shape == (1, 10, 30)


def test_images_of_different_size_need_a_size(tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path/"a.png")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path/"b.png")
    (tmp_path/"t.csv").write_text("image,patient_id\na.png,1\nb.png,2\n")
    with pytest.raises(CohortError, match="size="): Cohort.from_table(tmp_path/"t.csv").tensor()


class Counting:
    "Images that count how often each was decoded."
    def __init__(self, n): self.n, self.calls = n, [0]*n
    def __len__(self): return self.n
    def __getitem__(self, i):
        self.calls[i] += 1
        return torch.full((1, 2, 2), float(i))


def test_every_image_is_decoded_once_for_all_views():
    source = Counting(40)
    c = Cohort(pd.DataFrame({"image_id": range(40), "patient_id": [k//2 for k in range(40)]}), source)
    split = c.split()
    assert torch.equal(split.train.tensor()[:, 0, 0, 0], torch.tensor(split.train.table.image_id.to_numpy(np.float32)))
    assert sum(source.calls) == len(split.train)
    c.tensor()
    split.test.tensor()
    c.where("image_id > 10").tensor()
    assert set(source.calls) == {1}
    assert c.tensor().data_ptr() == c.tensor().data_ptr()


def test_a_large_cohort_goes_to_a_memory_map_and_reads_the_same(monkeypatch):
    c = cohort(patients=30)
    expected = c.tensor().clone()
    monkeypatch.setattr(module, "in_memory_bytes", 1000)
    mapped = Cohort(c.table, [x for x in expected])
    assert torch.equal(mapped.tensor(), expected) and isinstance(mapped.pixels.store.array, np.memmap)
    assert torch.equal(mapped.where(side="L").tensor(), expected[torch.tensor((c.table.side == "L").tolist())])


def test_a_cohort_survives_pickling():
    c = cohort(truth={"structures": torch.ones(40, 8, 9, dtype=torch.uint8)})
    c.tensor()
    d = pickle.loads(pickle.dumps(c))
    assert torch.equal(d.tensor(), c.tensor()) and d.table.equals(c.table) and torch.equal(d.truth_tensor("structures"), c.truth_tensor("structures"))


def test_unknown_truth_is_told_and_joined_cohorts_keep_what_is_known():
    one, two = cohort(3, truth={"structures": torch.ones(12, 8, 9, dtype=torch.uint8)}), cohort(2, seed=1, name="second")
    both = one + two
    assert both.table.image_id.is_unique and both.truth["structures"][15] is None and both.truth["structures"][3].sum() == 72
    with pytest.raises(CohortError, match="not known"): both.truth_tensor("structures")
    assert both.where(list(range(12))).truth_tensor("structures").shape == (12, 8, 9)
    with pytest.raises(CohortError, match="no truth called"): two.truth_tensor("structures")
    assert torch.equal(both.tensor(), torch.cat([one.tensor(), two.tensor()]))


def test_saving_is_all_or_nothing(tmp_path):
    class Failing(Counting):
        def __getitem__(self, i):
            if i == 3: raise OSError("the disk is full")
            return super().__getitem__(i)
    table = pd.DataFrame({"image_id": range(5), "patient_id": "p"})
    with pytest.raises(OSError): Cohort(table, Failing(5)).save(tmp_path/"new")
    assert not list(tmp_path.iterdir())
    old = cohort(2, name="old").save(tmp_path/"kept")
    before = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    with pytest.raises(OSError): Cohort(table, Failing(5)).save(tmp_path/"kept", overwrite=True)
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == before and [p.name for p in tmp_path.iterdir()] == ["kept"]
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine"/"thesis.txt").write_text("do not lose")
    with pytest.raises(CohortError, match="no saved cohort"): cohort(2).save(tmp_path/"mine", overwrite=True)
    assert (tmp_path/"mine"/"thesis.txt").exists()


@quick
@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda t: t.strip() == t and "\0" not in t and t.isprintable()), min_size=1, max_size=6, unique=True), st.integers(0, 99))
def test_whatever_images_are_called_they_are_saved_and_read_back(tmp_path_factory, names, seed):
    pixels = torch.rand(len(names), 2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))*4000 - 1000
    maps = [torch.rand(2, 3, 4, 5) if k % 2 else None for k in range(len(names))]
    c = Cohort(pd.DataFrame({"image_id": names, "patient_id": "p", "side": "L"}), pixels, {"lesions": maps}, spacing=(3, .5, .25), simulated=True)
    folder = c.save(tmp_path_factory.mktemp("saved")/"cohort")
    d = Cohort.from_table(folder/"table.csv")
    assert list(d.table.image_id) == names and d.simulated and d.spacing == (3, .5, .25)
    assert (d.tensor() - pixels).abs().max() < 5000/65535
    assert all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in zip(d.truth["lesions"], maps))


def test_images_called_1_and_1_0_keep_a_mask_each(tmp_path):
    maps = [torch.full((4, 4), k, dtype=torch.uint8) for k in range(2)]
    c = Cohort(pd.DataFrame({"image_id": ["1", "1.0"], "patient_id": "p"}), torch.rand(2, 1, 4, 4), {"structures": maps}, simulated=True)
    again = Cohort.from_table(c.save(tmp_path/"cohort")/"table.csv")
    assert all(torch.equal(a, b) for a, b in zip(again.truth["structures"], maps))


def test_every_image_keeps_its_own_spacing(tmp_path):
    fine, coarse = cohort(2, spacing=(.2, .2), simulated=True, name="fine"), cohort(3, seed=1, spacing=(2., 1.), simulated=True, name="coarse")
    both = fine + coarse
    assert fine.spacing == (.2, .2) and both.spacing is None and both.spacings == [(.2, .2)]*8 + [(2., 1.)]*12
    assert both.where([7, 8]).spacings == [(.2, .2), (2., 1.)] and both.where([9, 12]).spacing == (2., 1.)
    again = Cohort.from_table(both.save(tmp_path/"both")/"table.csv")
    assert again.spacings == both.spacings and Cohort.from_dicom(tmp_path/"both").spacing is None
    assert cohort(1).spacings == [None]*4 and cohort(1, spacing=[None, (1, 1), None, (1, 1)]).spacing is None
    with pytest.raises(CohortError, match="3 spacings for 4 rows"): cohort(1, spacing=[(1, 1)]*3)


def scans(folder, series=("T1", "STIR"), way=("L", "F", "A")):
    "A scan of 5 slices and one channel a series: folder/01-t1, folder/02-stir; and its pixels."
    pixels = torch.rand(len(series), 5, 6, 7, generator=torch.Generator().manual_seed(len(series)))
    write_image(folder, pixels, "MR", (3., .5, .25), "P1", body_part="WRIST", side="R", view=way, channels=[{"SeriesDescription": s} for s in series])
    return pixels


def test_a_folder_of_slices_is_a_volume_and_several_are_its_channels(tmp_path):
    pixels = scans(tmp_path/"a")
    (tmp_path/"t.csv").write_text("image,patient_id\na/01-t1 | a/02-stir,P1\n")
    both = Cohort.from_table(tmp_path/"t.csv")
    assert both.simulated and both.spacing == (3, .5, .25) and (both.pixels[0] - pixels).abs().max() < 1e-4
    for k, file in enumerate(sorted((tmp_path/"a"/"02-stir").iterdir(), reverse=True)): file.rename(file.with_name(f"IM{k}"))        # names do not matter
    (tmp_path/"t.csv").write_text("image,patient_id\na/02-stir,P1\n")
    assert torch.equal(Cohort.from_table(tmp_path/"t.csv").pixels[0], both.pixels[0][1:])
    found = Cohort.from_dicom(tmp_path)
    assert sorted(found.table.series) == ["STIR", "T1"] and found.spacing == (3, .5, .25)
    assert torch.equal(found.where(series="T1").pixels[0], both.pixels[0][:1])
    assert Cohort.from_table(tmp_path/"t.csv", size=12).pixels[0].shape == (1, 5, 12, 12)


def test_a_folder_with_several_series_is_an_error_that_lists_them(tmp_path):
    scans(tmp_path/"a")
    scans(tmp_path/"b", ("PD",))
    (tmp_path/"empty").mkdir()
    (tmp_path/"t.csv").write_text("image,patient_id\na,P1\nb,P1\nempty,P1\n")
    with pytest.raises(CohortError) as caught: Cohort.from_table(tmp_path/"t.csv")
    said = caught.value.problems
    assert len(said) == 2 and "row 2, a" in said[0] and "2 series: T1 (5 files in a/01-t1); STIR (5 files in a/02-stir)" in said[0] and "row 4, empty" in said[1]
    (tmp_path/"t.csv").write_text("image,patient_id\nb,P1\na/02-stir | b | b,P1\na/01-t1 | a/9,P2\n")
    with pytest.raises(CohortError) as caught: Cohort.from_table(tmp_path/"t.csv")
    assert "row 3" in caught.value.problems[0] and "same file" in caught.value.problems[0] and "no such file" in caught.value.problems[1]


def test_channels_of_different_shape_are_told(tmp_path):
    scans(tmp_path/"a", ("T1",))
    write_image(tmp_path/"b", torch.rand(1, 5, 6, 8), "MR", (3., .5, .25), "P1")
    (tmp_path/"t.csv").write_text("image,patient_id\na | b,P1\n")
    with pytest.raises(CohortError, match="a is 5 x 6 x 7; .*b is 5 x 6 x 8"): Cohort.from_table(tmp_path/"t.csv").pixels[0]


def test_the_echoes_of_one_slice_are_one_image(tmp_path):
    pixels = torch.rand(3, 6, 7)
    write_image(tmp_path/"t2", pixels, "MR", (.5, .25), "P1", channels=[{"SeriesDescription": "echoes", "EchoTime": f"{10*k + 10}"} for k in range(3)])
    found = Cohort.from_dicom(tmp_path)
    assert len(found) == 1 and (found.pixels[0] - pixels).abs().max() < 1e-4 and found.spacing == (.5, .25)


def test_outlines_written_as_dicom_are_truth_and_no_images(tmp_path):
    scans(tmp_path/"a")
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 2:4, 3], labels[4, 0] = 1, 2
    write_mask(tmp_path/"m.dcm", labels, ("bone", "tendon"), tmp_path/"a")
    (tmp_path/"t.csv").write_text("image,patient_id,mask_structures\na/01-t1,P1,m.dcm\n")
    assert np.array_equal(Cohort.from_table(tmp_path/"t.csv").truth["structures"][0].numpy(), labels)
    assert len(Cohort.from_dicom(tmp_path)) == 2


def real():
    where = os.environ.get("RHEUMKIT_REAL")
    if not where: pytest.skip("RHEUMKIT_REAL is not set: no real images to read")
    return Path(where)


def test_the_real_knees_are_read_and_dealt_out_by_patient():
    knees = Cohort.from_table(real()/"knees"/"knees.csv", labels="kl")
    assert len(knees) == 3000 and len(knees.patients) == 1500 and not knees.simulated
    split = knees.split(stratify="kl")
    assert [len(p) for p in split] == [1800, 600, 600]
    few = split.test.where(list(range(20)))
    assert few.tensor().shape == (20, 1, 112, 112) and 0 <= float(few.tensor().min()) and float(few.tensor().max()) <= 1


def test_the_real_multi_echo_knee_is_one_volume():
    knee = Cohort.from_dicom(real()/"knee_mese", patient="folder")
    assert len(knee) == 1 and knee.pixels[0].shape == (8, 24, 256, 256) and knee.spacing == (4, .625, .625)
    with pytest.raises(CohortError, match="patient='folder'"): Cohort.from_dicom(real()/"knee_mese")

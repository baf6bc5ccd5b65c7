"""DICOM objects: what lies where in the patient, who is who, and what is not said because it is not known. Looked at with pydicom and highdicom, not with the kit."""
import itertools

import numpy as np
import pydicom
import pytest
import torch

import rheumkit.images.objects as objects
from rheumkit.images.dicom import read_series
from rheumkit.images.objects import against, directions, read_image, read_mask, read_segments, write_image, write_mask, write_segments

WAYS = {"R": [-1, 0, 0], "L": [1, 0, 0], "A": [0, -1, 0], "P": [0, 1, 0], "F": [0, 0, -1], "H": [0, 0, 1]}      # patient coordinates, PS3.3 C.7.6.2.1.1


def slices(folder):
    return sorted((pydicom.dcmread(f) for f in folder.rglob("*.dcm")), key=lambda d: (d.SeriesNumber, d.InstanceNumber))


def volume(*shape): return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def all_ways():
    for along, down, through in itertools.permutations("RLAPFH", 3):
        if abs(np.linalg.det([WAYS[along], WAYS[down], WAYS[through]])) > .5: yield along, down, through


@pytest.mark.parametrize("way", all_ways(), ids="".join)
def test_every_pixel_lies_where_it_was_said_to_lie(tmp_path, way):
    values, spacing = volume(1, 4, 5, 6), (3., .5, .25)
    write_image(tmp_path/"v", values, "MR", spacing, "P", view=way)
    along, down, through = (np.array(WAYS[w], float) for w in way)
    found = slices(tmp_path/"v")
    assert [d.InstanceNumber for d in found] == [1, 2, 3, 4]
    for k, d in enumerate(found):
        rows, columns = np.array(d.ImageOrientationPatient[:3], float), np.array(d.ImageOrientationPatient[3:], float)
        for r, c in ((0, 0), (4, 5), (2, 3)):
            here = np.array(d.ImagePositionPatient, float) + c*float(d.PixelSpacing[1])*rows + r*float(d.PixelSpacing[0])*columns        # PS3.3 C.7.6.2.1.1
            assert here == pytest.approx((k-1.5)*3*through + (r-2)*.5*down + (c-2.5)*.25*along, abs=1e-6)
        assert np.array_equal(d.pixel_array, values[0, k])
        assert float(d.SliceLocation) == pytest.approx(np.array(d.ImagePositionPatient, float)@through, abs=1e-6)
    again = read_image(tmp_path/"v").numpy()
    assert np.array_equal(again, values[:, ::-1] if against(way) else values) and np.array_equal(read_series(tmp_path/"v").pixels.numpy(), again)


@pytest.mark.parametrize("view", [v for v, way in directions.items() if len(way) == 3])
def test_an_independent_reader_finds_the_volume_in_its_place(tmp_path, view):
    import highdicom as hd
    values = volume(1, 4, 5, 6)
    write_image(tmp_path/"v", values, "MR", (3., .5, .25), "P", side="L", body_part="KNEE", view=view)
    geometry = hd.get_volume_from_series([pydicom.dcmread(f) for f in (tmp_path/"v").iterdir()])
    for place in ((0, 0, 0), (3, 4, 5), (2, 0, 1)):
        through, down, along = (np.mean([WAYS[w] for w in letters], 0) for letters in (directions[view][2], directions[view][1], directions[view][0]))
        norm = [v/np.linalg.norm(v) for v in (through, down, along)]
        point = sum(step*(i - (n-1)/2)*v for step, i, n, v in zip((3, .5, .25), place, (4, 5, 6), norm)) + [100, 0, 0]                 # a left knee, 10 cm to the left
        index = np.rint(geometry.map_reference_to_indices(point[None])).astype(int)[0]
        assert geometry.map_reference_to_indices(point[None])[0] == pytest.approx(index, abs=1e-3) and geometry.array[tuple(index)] == values[(0, *place)]
    assert np.array_equal(read_image(tmp_path/"v").numpy(), values)          # the usual views come back in the order they were written


def test_names_of_files_do_not_order_slices(tmp_path):
    values = volume(2, 4, 5, 6)
    write_image(tmp_path/"v", values, "MR", (3., .5, .25), "P", view="CORONAL", channels=[{"SeriesDescription": "T1"}, {"SeriesDescription": "STIR"}])
    write_mask(tmp_path/"m.dcm", (values[0] % 7 == 0).astype(np.uint8), ("seven",), tmp_path/"v")
    for k, file in enumerate(sorted((tmp_path/"v").rglob("*.dcm"), reverse=True)): file.rename(file.with_name(f"{k}.dcm"))
    assert np.array_equal(read_image(tmp_path/"v").numpy(), values) and np.array_equal(read_mask(tmp_path/"m.dcm").numpy(), values[0] % 7 == 0)


@pytest.mark.parametrize("view", ["CORONAL", "SAGITTAL", "AXIAL", "SEMICORONAL"])
def test_outlines_lie_on_the_slices_they_were_drawn_on(tmp_path, view):
    labels = np.zeros((4, 5, 6), np.uint8)
    for k in range(4): labels[k, 1, k] = 1
    write_image(tmp_path/"v", volume(1, 4, 5, 6), "CT", (3., .5, .25), "P", view=view)
    seg = pydicom.dcmread(write_mask(tmp_path/"m.dcm", labels, ("bone",), tmp_path/"v"))
    where = {tuple(d.ImagePositionPatient): k for k, d in enumerate(slices(tmp_path/"v"))}
    assert seg.FrameOfReferenceUID == slices(tmp_path/"v")[0].FrameOfReferenceUID
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence): assert np.array_equal(frame, labels[where[tuple(group.PlanePositionSequence[0].ImagePositionPatient)]])
    assert np.array_equal(read_mask(tmp_path/"m.dcm").numpy(), labels)
    family = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmFamilyCodeSequence[0]
    assert seg.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC" and "Manual" not in family.CodeMeaning


def test_a_limb_lies_on_its_side_and_a_frame_of_reference_belongs_to_one_examination(tmp_path):
    at = {}
    for side, protocol in (("R", "a"), ("L", "a"), ("R", "b")):
        write_image(tmp_path/f"{side}{protocol}", volume(1, 2, 5, 5), "MR", (3., 1., 1.), "P", body_part="KNEE", side=side, view="SAGITTAL", protocol=protocol)
        at[side, protocol] = slices(tmp_path/f"{side}{protocol}")
    assert all(d.ImagePositionPatient[0] < -90 for d in at["R", "a"]) and all(d.ImagePositionPatient[0] > 90 for d in at["L", "a"])
    assert [d.Laterality for d in at["R", "a"] + at["L", "a"]] == ["R", "R", "L", "L"]
    for keyword, different in (("PatientID", 1), ("StudyInstanceUID", 1), ("SeriesInstanceUID", 3), ("FrameOfReferenceUID", 3), ("SOPInstanceUID", 6)):
        assert len({str(d[keyword].value) for found in at.values() for d in found}) == different, keyword


def test_contrasts_are_series_and_echoes_are_not(tmp_path):
    said = [{"SeriesDescription": "T1", "EchoTime": "10"}, {"SeriesDescription": "T2", "EchoTime": "20"}, {"SeriesDescription": "T2", "EchoTime": "40"}]
    values = volume(3, 2, 5, 6)
    write_image(tmp_path/"v", values, "MR", (3., 1., 1.), "P", channels=said)
    found = slices(tmp_path/"v")
    assert [(d.SeriesDescription, d.EchoNumbers, d.InstanceNumber) for d in found] == [("T1", 1, 1), ("T1", 1, 2), ("T2", 1, 1), ("T2", 1, 2), ("T2", 2, 3), ("T2", 2, 4)]
    assert len({d.SeriesInstanceUID for d in found}) == 2 and len({d.FrameOfReferenceUID for d in found}) == 1
    assert np.array_equal(read_image(tmp_path/"v").numpy(), values)


def test_what_is_not_known_is_not_invented(tmp_path):
    d = slices(write_image(tmp_path/"ct", volume(1, 2, 5, 6), "CT", (3., 1., 1.), "P"))[0]
    assert d.SliceThickness is None and d.KVP is None
    assert slices(write_image(tmp_path/"thick", volume(1, 2, 5, 6), "CT", (3., 1., 1.), "P", SliceThickness="1.5"))[0].SliceThickness == 1.5
    flat = slices(write_image(tmp_path/"flat", volume(1, 5, 6), "MR", (1., 1.), "P"))[0]
    assert flat.SliceThickness is None and "SpacingBetweenSlices" not in flat
    for spacing in (None, (1., 1.)):
        with pytest.raises(ValueError, match="slice_mm"): write_image(tmp_path/"none", volume(1, 2, 5, 6), "MR", spacing, "P")
    film = pydicom.dcmread(write_image(tmp_path/"film.dcm", volume(1, 5, 6), "DX", (1., 1.), "P"))
    assert film.ViewPosition == "" and not film.PatientOrientation
    side = pydicom.dcmread(write_image(tmp_path/"side.dcm", volume(1, 5, 6), "DX", (1., 1.), "P", view="LATERAL"))
    assert list(side.PatientOrientation) == ["P", "F"] and side.ViewPosition == ""


@pytest.mark.parametrize("view", ["OBLIQUE", ("L", "F"), ("L", "R", "A"), ("L", "F", "X"), "LFA"])
def test_a_position_that_cannot_be_is_refused(tmp_path, view):
    with pytest.raises(ValueError): write_image(tmp_path/"v", volume(1, 2, 5, 6), "MR", (3., 1., 1.), "P", view=view)
    assert not list(tmp_path.iterdir())


def test_a_slice_that_cannot_be_written_leaves_nothing_of_its_volume(tmp_path, monkeypatch):
    save, seen = objects._save, []
    def falls_over(d, path, stored):
        seen.append(path)
        if len(seen) == 2:
            path.write_bytes(b"half a file")
            raise OSError("disk full")
        return save(d, path, stored)
    write_image(tmp_path/"kept", volume(1, 3, 5, 6), "MR", (3., 1., 1.), "P")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.dcm")}
    monkeypatch.setattr(objects, "_save", falls_over)
    for name in ("new", "kept"):
        seen.clear()
        with pytest.raises(OSError, match="disk full"): write_image(tmp_path/name, torch.ones(1, 3, 5, 6), "MR", (3., 1., 1.), "P")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before and [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_segments_that_do_not_fit_are_named(tmp_path):
    write_image(tmp_path/"x.dcm", np.random.default_rng(0).random((1, 8, 9)), "DX", (.2, .2))
    two = np.zeros((2, 8, 9), bool); two[0, 2:5, 2:5] = two[1, 4:7, 4:7] = True
    with pytest.raises(ValueError, match="2 segments for 1 names .cyst."): write_segments(tmp_path/"m.dcm", two, ("cyst",), tmp_path/"x.dcm")
    with pytest.raises(ValueError, match="do not fit the image x.dcm"): write_segments(tmp_path/"m.dcm", two[:, :6], ("cyst", "erosion"), tmp_path/"x.dcm")
    assert not (tmp_path/"m.dcm").exists()
    bytes_of = [write_segments(tmp_path/"m.dcm", two, ("cyst", "erosion"), tmp_path/"x.dcm").read_bytes() for _ in range(2)]
    assert bytes_of[0] == bytes_of[1] and np.array_equal(read_segments(tmp_path/"m.dcm")[0], two)
    write_segments(tmp_path/"apart.dcm", two & ~two[::-1], ("cyst", "erosion"), tmp_path/"x.dcm")
    assert read_mask(tmp_path/"apart.dcm").unique().tolist() == [0, 1, 2]


def test_frames_with_nothing_in_them_are_left_out_but_every_slice_is_known(tmp_path):
    write_image(tmp_path/"v", volume(1, 4, 5, 7), "MR", (3., .5, .25), "P", view="CORONAL")
    kinds = np.zeros((3, 4, 5, 7), bool); kinds[0, 1, 2:4, 1:6] = kinds[2, 1:3, 1, 3] = True     # nothing in the first and the last slice, nothing of the second kind
    seg = pydicom.dcmread(write_segments(tmp_path/"m.dcm", kinds, ("a", "b", "c"), tmp_path/"v"))
    frames = [(int(g.SegmentIdentificationSequence[0].ReferencedSegmentNumber), bool(f.any())) for f, g in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence)]
    assert seg.NumberOfFrames == 5 and sorted(frames) == [(1, False), (1, False), (1, True), (3, True), (3, True)] and [s.SegmentLabel for s in seg.SegmentSequence] == ["a", "b", "c"]
    assert np.array_equal(read_segments(tmp_path/"m.dcm")[0], kinds)
    write_mask(tmp_path/"none.dcm", np.zeros((4, 5, 7), np.uint8), ("bone", "tendon"), tmp_path/"v")
    assert pydicom.dcmread(tmp_path/"none.dcm").NumberOfFrames == 4 and np.array_equal(read_mask(tmp_path/"none.dcm"), np.zeros((4, 5, 7)))

"""DICOM: headers nobody thought of, other people's files, damaged files."""
import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

from rheumkit.images.dicom import Dicom, DicomError, read_dicom, read_header, read_series, write_dicom
from rheumkit.images.pixels import window

pytestmark = pytest.mark.filterwarnings("ignore")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain(stored, bits=16, kept=16, signed=False, order="<", frames=None, photometric="MONOCHROME2", **more):
    "An uncompressed grey dataset that holds the integers `stored` ((frames, rows, columns))."
    d = Dataset()
    d.SOPClassUID, d.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    d.Rows, d.Columns = stored.shape[1:]
    if len(stored) > 1 or frames: d.NumberOfFrames = len(stored)
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, photometric
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = bits, kept, kept - 1, int(signed)
    for key, value in more.items(): setattr(d, key, value)
    raw = stored.astype(f"{order}{'i' if signed else 'u'}{bits//8}").tobytes()
    if bits == 8 and order == ">":                                   # big endian stores 8 bit pixels as swapped words
        raw = np.frombuffer(raw + b"\0"*(len(raw) % 2), "<u2").byteswap().tobytes()
    d["PixelData"] = pydicom.DataElement("PixelData", "OW" if bits == 16 or order == ">" else "OB", raw + b"\0"*(len(raw) % 2))
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1" if order == "<" else "1.2.840.10008.1.2.2"
    return d


def saved(dataset, folder, name="x.dcm"):
    path = Path(folder)/name
    dataset.save_as(path, enforce_file_format=True)
    return path


@st.composite
def images(draw):
    bits = draw(st.sampled_from([8, 16]))
    kept = draw(st.integers(1, bits))
    signed = draw(st.booleans()) and kept > 1
    low, high = (-2**(kept-1), 2**(kept-1)-1) if signed else (0, 2**kept-1)
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)))
    values = np.random.default_rng(draw(st.integers(0, 2**32-1))).integers(low, high, shape, endpoint=True)
    return values, dict(bits=bits, kept=kept, signed=signed, order=draw(st.sampled_from("<>")),
                        photometric=draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])))


decimals = st.floats(-1e4, 1e4, allow_nan=False).map(lambda x: float(f"{x:.4f}"))


@quick
@given(images(), decimals.filter(bool), decimals)
def test_values_are_stored_times_slope_plus_intercept_whatever_the_bits_and_nothing_is_inverted(tmp_path, image, slope, intercept):
    values, how = image
    got = read_dicom(saved(plain(values, RescaleSlope=slope, RescaleIntercept=intercept, **how), tmp_path))
    assert got.pixels.dtype == torch.float32
    assert np.array_equal(got.pixels.numpy(), (values.astype(float)*slope + intercept).astype(np.float32))


@quick
@given(images(), st.integers(0, 2**16-1))
def test_bits_beside_the_value_are_not_part_of_it(tmp_path, image, dirt):
    values, how = image
    mask = 2**how["kept"] - 1
    dirty = (values & mask) | ((dirt << how["kept"]) & (2**how["bits"] - 1))
    d = plain(dirty.astype(np.uint16 if how["bits"] == 16 else np.uint8), **(how | {"signed": False}))
    d.PixelRepresentation = int(how["signed"])
    if how["bits"] == 8 and how["order"] == ">" : return              # pydicom unpacks these; it leaves such bits alone
    assert np.array_equal(read_dicom(saved(d, tmp_path)).pixels.numpy(), values.astype(np.float32))


@quick
@given(images(), st.floats(-3000, 3000), st.floats(1, 5000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", None]))
def test_display_is_the_window_of_the_standard_and_turns_monochrome1(tmp_path, image, centre, width, function):
    values, how = image
    centre, width = float(f"{centre:.3f}"), max(1., float(f"{width:.3f}"))
    more = dict(WindowCenter=centre, WindowWidth=width) | ({"VOILUTFunction": function} if function else {})
    shown = read_dicom(saved(plain(values, **how, **more), tmp_path)).display().numpy()

    def reference(x):                                                 # PS3.3 C.11.2.1.2.1 and C.11.2.1.3, case by case
        if function == "SIGMOID": return 1/(1 + math.exp(max(-700, min(700, -4*(x - centre)/width))))
        c, w = (centre, width) if function == "LINEAR_EXACT" else (centre - .5, width - 1)
        if x <= c - w/2: return 0
        if x > c + w/2: return 1
        return (x - c)/w + .5
    expected = np.vectorize(reference, otypes=[float])(values)
    if how["photometric"] == "MONOCHROME1": expected = 1 - expected
    assert np.abs(shown - expected).max() < 1e-3 or width < 1.01      # a width near 1 is a step: rounding decides on which side


@pytest.mark.parametrize("function", ["linear", "linear_exact"])
def test_window_of_width_one_and_edges(function):
    x = torch.tensor([9., 10., 11.])
    assert window(x, 10.5, 1, function).tolist() == {"linear": [0, 0, 1], "linear_exact": [0, 0, 1]}[function]



@st.composite
def vandalism(draw):
    return dict(fields=draw(st.lists(st.tuples(
                    st.sampled_from(["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation",
                                     "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelSpacing", "VOILUTFunction", "PixelPaddingValue",
                                     "PlanarConfiguration", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfTemporalPositions"]),
                    st.one_of(st.none(), st.just(""), st.integers(-5, 70000), st.text("0123456789.eE-+ABXnaif\\ ", max_size=12))), max_size=3)),
                flips=draw(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)),
                cut=draw(st.one_of(st.none(), st.integers(0, 2000))),
                syntax=draw(st.sampled_from([None, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.201", "1.2.3"])))


def vandalised(how, folder):
    d = plain(np.arange(2*6*5).reshape(2, 6, 5), RescaleSlope="2", RescaleIntercept="-10", WindowCenter="20", WindowWidth="40", PixelSpacing=["0.5", "0.5"])
    raw = io.BytesIO()
    d.save_as(raw, enforce_file_format=True)
    d = pydicom.dcmread(io.BytesIO(raw.getvalue()))
    for key, value in how["fields"]:
        tag = pydicom.datadict.tag_for_keyword(key)
        if value is None:
            if tag in d: del d[tag]
            continue
        vr = pydicom.datadict.dictionary_VR(tag)
        if vr in ("US", "US or SS", "SS"): raw_value = (int(value) % 65536 if isinstance(value, int) else 7).to_bytes(2, "little")
        else: raw_value = str(value).encode()
        raw_value += b" "*(len(raw_value) % 2)
        d._dict[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr.split(" ")[0], len(raw_value), raw_value, 0, False, True)
    out = io.BytesIO()
    try: d.save_as(out, enforce_file_format=True)
    except Exception: return None                                     # pydicom refuses to write it: not a file that can exist here
    data = bytearray(out.getvalue())
    if how["syntax"]: data = data.replace(b"1.2.840.10008.1.2.1\0", (how["syntax"].encode() + b"\0"*24)[:20] if len(how["syntax"]) <= 20 else b"1.2.840.10008.1.2.5\0")
    for where, value in how["flips"]:
        if where < len(data): data[where] = value
    path = Path(folder)/"damaged.dcm"
    path.write_bytes(data[:how["cut"]] if how["cut"] is not None else data)
    return path


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vandalism())
def test_a_damaged_file_is_read_or_is_a_dicom_error_never_anything_else(tmp_path, how):
    path = vandalised(how, tmp_path)
    if path is None: return
    try:
        image = read_dicom(path)
        assert torch.isfinite(image.pixels).all() or how["fields"]
        assert image.display().shape == image.pixels.shape
        assert image.channels().ndim in (3, 4) and (image.spacing is None or len(image.spacing) in (2, 3))
    except DicomError as error:
        assert error.path == path and error.reason and str(path) in str(error)


def files_of_pydicom():
    import data_store
    for root in (Path(pydicom.__file__).parent/"data"/"test_files", Path(data_store.__file__).parent):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"): yield pytest.param(path, id=f"{path.parent.name}/{path.name}")


def independently(path):
    "Modality values by plain pydicom, without a line of ours."
    d = pydicom.dcmread(path)
    values = pixel_array(d)
    if d.PhotometricInterpretation == "PALETTE COLOR": return apply_color_lut(values, d)
    if d.get("SamplesPerPixel", 1) == 3: return values
    groups = [*d.get("SharedFunctionalGroupsSequence", []), *d.get("PerFrameFunctionalGroupsSequence", [])]
    per_frame = [f.PixelValueTransformationSequence[0] for f in groups if "PixelValueTransformationSequence" in f]
    if len(per_frame) == 1: per_frame *= int(d.NumberOfFrames)
    if per_frame: return np.stack([v*float(p.RescaleSlope) + float(p.RescaleIntercept) for v, p in zip(values, per_frame, strict=True)])
    return apply_modality_lut(values, d)


@pytest.mark.parametrize("path", files_of_pydicom())
def test_every_file_of_pydicom_is_read_to_the_right_values_or_refused(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: expected = np.asarray(independently(path))
        except Exception: expected = None
        try: image = read_dicom(path)
        except DicomError as error:
            assert expected is None, f"pydicom reads what we refuse: {error}"
            return
    if expected is None:
        assert path.name == "OT-PAL-8-face.dcm"                       # no preamble; read on purpose
        return
    colour = image.colour
    assert image.pixels.ndim == 3 + colour
    assert np.array_equal(image.pixels.numpy().reshape(expected.shape), expected.astype(np.float32))
    if image.pixels.numel() < 3e7:
        shown = image.display()
        assert float(shown.min()) >= 0 and float(shown.max()) <= 1
    assert all(s > 0 for s in image.spacing or ())


@pytest.mark.parametrize("content, word", [(b"", "empty"), (b"\x89PNG\r\n\x1a\n" + b"0"*300, "PNG"), (b"hello "*100, "not a DICOM"), (b"\0"*128 + b"DICM", "truncated")])
def test_what_is_not_dicom_is_named(tmp_path, content, word):
    (tmp_path/"file.dcm").write_bytes(content)
    with pytest.raises(DicomError, match=word) as caught: read_dicom(tmp_path/"file.dcm")
    assert "file.dcm" in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DicomError, match="no such file"): read_dicom(tmp_path/"none.dcm")
    with pytest.raises(DicomError, match="folder"): read_dicom(tmp_path)
    with pytest.raises(DicomError, match="no such folder"): read_series(tmp_path/"none")
    with pytest.raises(DicomError, match="no DICOM image"): read_series(tmp_path)


def test_truncated_pixels_and_unknown_syntax_say_so(tmp_path):
    path = saved(plain(np.arange(400).reshape(1, 20, 20)), tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DicomError, match="truncated"): read_dicom(path)
    d = plain(np.arange(400).reshape(1, 20, 20))
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"         # MPEG-2 video
    d["PixelData"] = pydicom.DataElement("PixelData", "OB", pydicom.encaps.encapsulate([b"\0\0\1\xb3" + b"\0"*60]))
    with pytest.raises(DicomError, match="MPEG2"): read_dicom(saved(d, tmp_path, "video.dcm"))


@quick
@given(st.integers(0, 2**32-1), st.sampled_from([(5, 6), (1, 5, 6), (3, 4, 5), (2, 3, 4, 5)]), st.floats(-1e5, 1e5), st.floats(1e-3, 1e6), st.booleans())
def test_what_is_written_is_read_back_within_half_a_step(tmp_path, seed, shape, low, span, simulated):
    values = low + span*np.random.default_rng(seed).random(shape)
    first = write_dicom(tmp_path/"a.dcm", values, spacing=(2, .5, .25), patient_id="p", simulated=simulated)
    second = write_dicom(tmp_path/"b.dcm", torch.tensor(values, dtype=torch.float32), spacing=(2, .5, .25), patient_id="p", simulated=simulated)
    assert first.read_bytes() == second.read_bytes()
    image = read_dicom(first)
    got = image.channels().numpy()
    assert got.shape == (shape if len(shape) > 2 else (1, *shape))
    exact = values.astype(np.float32).astype(float)
    assert np.abs(got.reshape(shape) - exact).max() <= float(image.header.RescaleSlope)/2 + np.abs(exact).max()*2e-7
    assert image.simulated is simulated and image.spacing[-2:] == (.5, .25)


def test_two_examinations_of_one_visit_are_two_series(tmp_path):
    made = [pydicom.dcmread(write_dicom(tmp_path/f"{k}.dcm", np.eye(4), patient_id="p", Modality="DX", ImageLaterality="R", **what))
            for k, what in enumerate((dict(BodyPartExamined="HAND", ViewPosition="PA"), dict(BodyPartExamined="FOOT", ViewPosition="AP"), dict(BodyPartExamined="HAND", ViewPosition="AP")))]
    assert len({d.SeriesInstanceUID for d in made}) == 3 and len({d.StudyInstanceUID for d in made}) == 1


def test_whole_numbers_are_written_exactly(tmp_path):
    values = np.random.default_rng(0).integers(-1024, 3072, (7, 9)).astype(np.float32)
    assert np.array_equal(read_dicom(write_dicom(tmp_path/"a.dcm", values)).pixels[0].numpy(), values)


def test_values_dicom_cannot_hold_are_refused_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="not numbers"): write_dicom(tmp_path/"a.dcm", torch.tensor([[1., float("nan")]]))
    assert not list(tmp_path.iterdir())


def series(folder, echoes=2, slices=4, skip=(), seed=0, **more):
    "Slices of a tilted scan in shuffled files; pixel value = 100 * echo + slice."
    rng = np.random.default_rng(seed)
    names = rng.permutation(echoes*slices)
    across, down = np.array([.6, .8, 0]), np.array([0, 0, -1.])
    normal = -np.cross(across, down)                                  # (0.8, -0.6, 0): from right to left
    for echo in range(echoes):
        for place in range(slices):
            if (echo, place) in skip: continue
            d = plain(np.full((1, 3, 4), 100*echo + place), ImageOrientationPatient=[*across, *down], ImagePositionPatient=[float(f"{v:.5f}") for v in 3*place*normal + [10, -20, 30]],
                      EchoTime=str(10*(echo + 1)), SeriesInstanceUID="1.2.3.4", PixelSpacing=[.5, .4], InstanceNumber=int(rng.integers(1000)), **more)
            saved(d, folder, f"{names[echo*slices + place]:03d}.dcm")


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_series_is_sorted_by_place_and_echo_whatever_the_files_are_called(tmp_path_factory, echoes, slices, seed):
    folder = tmp_path_factory.mktemp("series")
    series(folder, echoes, slices, seed=seed)
    got = read_series(folder)
    expected = torch.arange(echoes)[:, None]*100. + torch.arange(slices)
    assert torch.equal(got.pixels[:, :, 0, 0], expected)
    assert got.pixels.shape == (echoes, slices, 3, 4)
    if slices > 1: assert got.spacing == pytest.approx((3, .5, .4), abs=1e-4)


@pytest.mark.parametrize("rows, columns, begins", [((1, 0, 0), (0, 1, 0), (0, 0, 5)), ((-1, 0, 0), (0, 1, 0), (0, 0, 5)), ((1, 0, 0), (0, -1, 0), (0, 0, 5)),      # axial: head first
                                                   ((0, 1, 0), (0, 0, -1), (-5, 0, 0)), ((0, -1, 0), (0, 0, -1), (-5, 0, 0)),                                        # sagittal: right first
                                                   ((1, 0, 0), (0, 0, -1), (0, 5, 0)), ((-1, 0, 0), (0, 0, 1), (0, 5, 0))])                                          # coronal: back first
@pytest.mark.parametrize("numbered", [1, -1])
def test_a_series_begins_at_the_same_end_whichever_way_a_scanner_turns_or_numbers_its_slices(tmp_path, rows, columns, begins, numbered):
    for k in range(4):                                                # value k lies k quarters of the way to the other end
        d = plain(np.full((1, 3, 4), k), ImageOrientationPatient=[*rows, *columns], ImagePositionPatient=[v*(1 - k/2) for v in begins], SeriesInstanceUID="1.2.3", InstanceNumber=numbered*k + 10)
        saved(d, tmp_path, f"{7*k % 4}.dcm")
    assert read_series(tmp_path).pixels[0, :, 0, 0].tolist() == [0, 1, 2, 3]


def test_missing_slices_are_told(tmp_path):
    series(tmp_path, echoes=2, slices=5, skip=[(1, 2)])
    with pytest.raises(DicomError, match="incomplete: 2 images at most places, but 1 at"): read_series(tmp_path)
    for path in tmp_path.iterdir(): path.unlink()
    series(tmp_path, echoes=1, slices=5, skip=[(0, 2)])
    with pytest.raises(DicomError, match="some are missing"): read_series(tmp_path)


def test_two_series_must_be_chosen_from(tmp_path):
    (tmp_path/"a").mkdir()
    (tmp_path/"b").mkdir()
    series(tmp_path/"a", SeriesDescription="T1")
    series(tmp_path/"b", SeriesDescription="STIR")
    for path in (tmp_path/"b").iterdir():
        d = pydicom.dcmread(path)
        d.SeriesInstanceUID = "1.2.3.5"
        d.save_as(path)
    with pytest.raises(DicomError, match="2 series; choose one"): read_series(tmp_path)
    assert read_series(tmp_path, series="stir").pixels.shape == (2, 4, 3, 4)
    with pytest.raises(DicomError, match="no series"): read_series(tmp_path, series="T2")


def test_one_damaged_slice_is_named(tmp_path):
    series(tmp_path)
    path = sorted(tmp_path.iterdir())[3]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DicomError, match=path.name): read_series(tmp_path)


def real():
    where = os.environ.get("RHEUMKIT_REAL")
    if not where: pytest.skip("RHEUMKIT_REAL is not set: no real images to read")
    return Path(where)


def test_real_hand_and_ultrasound():
    for path in sorted((real()/"dicom").glob("*.dcm")):
        image = read_dicom(path)
        assert np.array_equal(image.pixels.numpy().squeeze(), np.asarray(independently(path)).astype(np.float32))
    hand = read_dicom(real()/"dicom"/"CR_HAND_PA_j2k_lossless.dcm")
    assert hand.pixels.shape == (1, 2500, 2048) and hand.spacing and all(.05 < s < .3 for s in hand.spacing)


def test_real_multi_echo_knee_has_echoes_slices_rows_columns():
    knee = read_series(real()/"knee_mese")
    assert isinstance(knee, Dicom) and knee.pixels.shape == (8, 24, 256, 256)
    times = np.array([float(h.EchoTime) for h in knee.headers]).reshape(8, 24)
    places = np.array([h.ImagePositionPatient[0] for h in knee.headers], float).reshape(8, 24)
    assert (times == times[:, :1]).all() and (np.diff(times[:, 0]) > 0).all()
    assert (places == places[:1]).all() and (abs(np.diff(places[0])) > 3).all()
    for k in (0, 100, 191):                                           # the pixels are those of the file whose header stands there
        path = next(p for p in (real()/"knee_mese").glob("*.dcm") if read_header(p).SOPInstanceUID == knee.headers[k].SOPInstanceUID)
        assert np.array_equal(knee.pixels.reshape(-1, 256, 256)[k].numpy(), pydicom.dcmread(path).pixel_array.astype(np.float32))
    signal = knee.pixels.mean((1, 2, 3))
    assert (signal.diff() < 0).sum() >= 6                             # T2 decay: later echoes are darker

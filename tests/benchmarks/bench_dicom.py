"""Reading DICOM: time and correctness against plain pydicom, fastai and MONAI, in the same run.

    python tests/benchmarks/bench_dicom.py [--seconds 0.5]

The files are pydicom's own test files; the real ones are added where RHEUMKIT_REAL points to them. The right values are computed
with plain pydicom and the rescale of the functional groups. A peer is right if it gives these values (or their 0..255 picture,
which is what fastai's PIL images hold) with the grey scale the header asks for left as it is (MONOCHROME1 not inverted).
"""
import argparse
import os
import random
import time
import warnings
from pathlib import Path

import numpy as np


def right_values(path):
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
    d = pydicom.dcmread(path)
    values = pixel_array(d)
    if d.PhotometricInterpretation == "PALETTE COLOR": return apply_color_lut(values, d).astype(np.float32)
    if d.get("SamplesPerPixel", 1) == 3: return values.astype(np.float32)
    groups = [*d.get("SharedFunctionalGroupsSequence", []), *d.get("PerFrameFunctionalGroupsSequence", [])]
    rescale = [g.PixelValueTransformationSequence[0] for g in groups if "PixelValueTransformationSequence" in g]
    if rescale: return (values*float(rescale[0].RescaleSlope) + float(rescale[0].RescaleIntercept)).astype(np.float32)
    return apply_modality_lut(values, d).astype(np.float32)


def readers():
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    from rheumkit.images.dicom import read_dicom

    def plain(path):
        d = pydicom.dcmread(path)
        return apply_modality_lut(d.pixel_array, d)

    def complete(path): # the same thing by hand: colour table, float32
        d = pydicom.dcmread(path)
        values = apply_color_lut(d.pixel_array, d) if d.PhotometricInterpretation == "PALETTE COLOR" else apply_modality_lut(d.pixel_array, d)
        return values.astype(np.float32)

    found = {"rheumkit": lambda path: read_dicom(path).pixels.numpy(), "pydicom": plain, "pydicom, colours, float32": complete}
    try: from fastai.medical.imaging import PILDicom
    except ImportError as e:                         # it wants packages that fastai itself does not install
        print(f"fastai.medical.imaging does not import here ({e}); its PILDicom.create is repeated: Image.fromarray(dcmread(file).pixel_array)")
        from PIL import Image
        class PILDicom:
            @staticmethod
            def create(path): return Image.fromarray(pydicom.dcmread(path).pixel_array)
    found["fastai PILDicom"] = lambda path: np.asarray(PILDicom.create(path))
    try:
        from monai.data import PydicomReader
        reader = PydicomReader(swap_ij=False)
        found["MONAI PydicomReader"] = lambda path: np.asarray(reader.get_data(reader.read(str(path)))[0])
    except ImportError as e: print("MONAI is not installed:", e)
    return found


def same(got, right):
    "Are these the right values, whatever the axes of length 1 and the place of the frames and colours?"
    got, right = np.squeeze(np.asarray(got)), np.squeeze(right)
    for turned in (got, np.moveaxis(got, -1, 0) if got.ndim > 2 else got, np.moveaxis(got, 0, -1) if got.ndim > 2 else got):
        if turned.shape == right.shape and np.allclose(turned.astype(np.float64), right, rtol=1e-6, atol=1e-4): return True
    return False


def timed(readers, path, seconds):
    "Best milliseconds of processor time of one reading by each reader; they take turns in random order, so that caches and other work on the machine favour nobody."
    times, order = {name: [] for name in readers}, random.Random(0)
    end = time.perf_counter() + seconds*len(readers)
    while time.perf_counter() < end or min(map(len, times.values())) < 3:
        for name in order.sample(list(readers), len(readers)):
            start = time.process_time()
            readers[name](path)
            times[name].append(1000*(time.process_time() - start))
    return {name: min(values) for name, values in times.items()}


def cases():
    from pydicom.data import get_testdata_file
    names = {"CT 128²": "CT_small.dcm", "MR 64²": "MR_small.dcm", "MR big endian": "MR_small_bigendian.dcm", "MR RLE": "MR_small_RLE.dcm", "MR 12 bit, slope 3.77": "MR2_UNCI.dcm",
             "CR MONOCHROME1": "RG1_UNCI.dcm", "CR MONOCHROME1 JPEG 2000": "RG1_J2KR.dcm", "CT JPEG 2000": "693_J2KR.dcm", "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
             "Modality LUT": "mlut_18.dcm", "enhanced CT, 2 frames": "eCT_Supplemental.dcm", "enhanced MR, 10 frames": "emri_small.dcm", "palette colour": "OBXXXX1A.dcm",
             "YBR JPEG, 30 frames": "examples_ybr_color.dcm", "RGB": "SC_rgb.dcm"}
    for label, name in names.items():
        path = get_testdata_file(name)
        if path: yield label, Path(path)
    real = os.environ.get("RHEUMKIT_REAL")
    if not real: print("RHEUMKIT_REAL is not set: the real hand and knee are left out")
    else: yield "real hand, 2500×2048 JPEG 2000", Path(real)/"dicom"/"CR_HAND_PA_j2k_lossless.dcm"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=.5, help="time spent on each reader and file")
    seconds = arguments.parse_args().seconds
    warnings.simplefilter("ignore")
    found = readers()
    print("| file | " + " | ".join(found) + " |\n|---|" + "---|"*len(found))
    slower = []
    for label, path in cases():
        right, good, failed = right_values(path), {}, {}
        for name, read in found.items():
            try: good[name] = same(read(path), right)
            except Exception as e: failed[name] = f"fails ({type(e).__name__})"
        times = timed({name: found[name] for name in good}, path, seconds)
        cells = [failed.get(name) or f"{times[name]:.2f} ms" + ("" if good[name] else ", wrong") for name in found]
        for peer in ("pydicom", "pydicom, colours, float32"):
            if times["rheumkit"] > 1.05*times[peer]: slower.append(f"{label} ({times['rheumkit']/times[peer]:.2f} times {peer}{', which is wrong there' if not good[peer] else ''})")
        print(f"| {label} | " + " | ".join(cells) + " |")
    if real := os.environ.get("RHEUMKIT_REAL"):
        knee = Path(real)/"knee_mese"
        files = sorted(knee.glob("*.dcm"))
        times = timed({name: lambda _, read=read: [read(f) for f in files] for name, read in found.items()}, knee, 2*seconds)
        print("| real knee, 192 files | " + " | ".join(f"{t:.0f} ms" for t in times.values()) + " |")
        from rheumkit.images.dicom import read_series
        whole = timed({"read_series": read_series}, knee, 2*seconds)["read_series"]
        print(f"\nread_series of the 192 files to {' × '.join(map(str, read_series(knee).pixels.shape))}, sorted: {whole:.0f} ms")
    print("\nmore than 5 % slower than pydicom: " + ("; ".join(slower) or "nowhere"))


if __name__ == "__main__": main()

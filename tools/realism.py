"""Real images beside simulated ones, for the eye, and what can be counted: a page for each modality in realism/ (not part of the repository).

    RHEUMKIT_REAL=folder python tools/realism.py [--out realism] [--transfer]

Only the first half of the real patients is ever shown or used to develop with; --transfer reports on the other half:
a knee grader trained on simulated knees alone (a quarter of an hour).
"""
import argparse
import base64
import html
import io
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rheumkit.core.figures import to_uint8
from rheumkit.images.cohort import Cohort
from rheumkit.images.dicom import read_dicom, read_series
from rheumkit.learning.metrics import auc, interval
from rheumkit.phantom.recipes import simulate


def halves(cohort):
    "The patients to develop with, and those to report on: by the order of their pseudonyms."
    names = sorted(map(str, cohort.patients))
    known = cohort.table.patient_id.astype(str).isin(names[:len(names)//2]).to_numpy()
    return cohort.where(known), cohort.where(~known)


def tag(image, caption, low=.005, high=.995):
    "One picture of the page."
    image = np.asarray(image, float)
    grey = to_uint8(image, *np.quantile(image, [low, high]))
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((240, round(240*grey.shape[0]/grey.shape[1])), Image.BICUBIC).save(buffer, "PNG")
    said, data = html.escape(caption), base64.b64encode(buffer.getvalue()).decode()
    return f"<figure><img alt='{said}' src='data:image/png;base64,{data}'><figcaption>{said}</figcaption></figure>"


def page(out, title, rows, numbers):
    "A page of rows (real, simulated) and a table of numbers."
    table = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(str(v))}</td></tr>" for k, v in numbers.items())
    body = "".join("<div class='row'>" + "".join(row) + "</div>" for row in rows)
    (out/f"{title.lower().replace(' ', '-')}.html").write_text(
        "<!doctype html><meta charset='utf-8'><style>body{font:15px sans-serif;margin:2em}.row{display:flex;gap:8px;flex-wrap:wrap}"
        "figure{margin:0}figcaption{font-size:12px}</style>"
        f"<h1>{html.escape(title)}: real beside simulated</h1><table>{table}</table>{body}", encoding="utf-8")
    print(title, numbers, flush=True)


def told_apart(real, simulated, seed=0):
    "AUC of logistic regression on coarse texture features that tells real from simulated, held-out half of the images: 0.5 would be perfect realism."
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(x):
        x = (x - x.mean((1, 2), keepdim=True))/x.std((1, 2), keepdim=True).clamp_min(1e-6)
        spectrum = torch.fft.rfft2(x).abs().log1p()
        rings = torch.hypot(*torch.meshgrid(torch.fft.fftfreq(x.shape[1]), torch.fft.rfftfreq(x.shape[2]), indexing="ij"))
        bins = [spectrum[:, (rings >= a) & (rings < a + .05)].mean(1) for a in np.arange(0, .5, .05)]
        return torch.stack([*bins, (x**3).mean((1, 2)), (x**4).mean((1, 2))], 1).numpy()
    x, y = np.concatenate([features(real), features(simulated)]), np.r_[np.ones(len(real)), np.zeros(len(simulated))]
    order = np.random.default_rng(seed).permutation(len(x))
    half = len(x)//2
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x[order[:half]], y[order[:half]])
    return auc(y[order[half:]], model.predict_proba(x[order[half:]])[:, 1])


def knees(real, out):
    cohort, _ = halves(Cohort.from_table(real/"knees"/"knees.csv", labels=["kl"]))
    phantom = simulate("knee-radiograph", patients=120, seed=5)
    rows = []
    for grade in range(5):
        theirs, ours = (np.flatnonzero(c.table[k] == grade)[:4] for c, k in ((cohort, "kl"), (phantom, "kellgren_lawrence_true")))
        pairs = [part for a, b in zip(theirs, ours) for part in ((cohort, a, "real"), (phantom, b, "simulated"))]
        rows.append([tag(c.pixels[int(i)][0], f"{word}, grade {grade}") for c, i, word in pairs])
    some = cohort.where(np.arange(0, len(cohort), 6)).tensor()[:, 0]
    page(out, "Knee radiograph", rows, {"real or simulated, from spectrum and grey levels, AUC": round(float(told_apart(some, phantom.tensor()[:, 0])), 3)})


def hands(real, out):
    hand = read_dicom(real/"dicom"/"CR_HAND_PA_j2k_lossless.dcm").display()[0]
    phantom = simulate("hand-radiograph", patients=3, seed=1, sides=("R",))
    page(out, "Hand radiograph", [[tag(hand[::8, ::8], "real"), *(tag(phantom.pixels[i][0], "simulated") for i in range(3))]], {"real hands at hand": 1})


def knee_echoes(real, out):
    theirs, phantom = read_series(real/"knee_mese").pixels, simulate("knee-mri-t2", patients=1, seed=3)
    ours, middle = phantom.pixels[0], theirs.shape[1]//2

    def t2(x, te):       # of the brighter half of the pixels, from a straight line through the logarithms
        y = x[:, x[0] > x[0].median()].clamp_min(1e-3).log()
        t = torch.tensor(te, dtype=torch.float32)
        slope = ((t - t.mean())[:, None]*(y - y.mean(0))).sum(0)/((t - t.mean())**2).sum()
        return float((-1/slope.clamp(-1, -1e-3)).median())
    echoes = np.linspace(6.3, 50.5, 8)
    theirs, ours = theirs[:, middle], ours[:, ours.shape[1]//2]
    rows = [[tag(x[e], f"{word}, echo {e + 1}") for e in (0, 3, 7)] for x, word in ((theirs, "real"), (ours, "simulated"))]
    found = {"T2 of the brighter half of a middle slice, ms, real": round(t2(theirs, echoes), 1), "simulated": round(t2(ours, echoes), 1)}
    page(out, "Knee MRI echoes", rows, found)


def spines(real, out):
    files = sorted((real/"lumbar_mri"/"images").iterdir())
    series = sorted({f.name.split("_")[0] for f in files})
    first = [f for f in files if f.name.split("_")[0] in series[:len(series)//2]]
    theirs = [np.asarray(Image.open(f).convert("L"))[::-1] for f in first[:4]]
    phantom = simulate("spine-mri", patients=4, seed=2, size=(128, 128))
    rows = [[tag(x, "real") for x in theirs], [tag(phantom.pixels[i][0], "simulated") for i in range(4)]]
    page(out, "Lumbar spine MRI", rows, {"real series to develop with": len(series)//2})


def knee_transfer(real, patients=1500, epochs=15, seeds=3):
    "A grader trained on simulated knees alone, on the half of the real patients that nobody developed with."
    from types import SimpleNamespace

    from rheumkit.learning.training import Augment, fit, learner, predictions
    _, report = halves(Cohort.from_table(real/"knees"/"knees.csv", labels=["kl"]))
    phantom = simulate("knee-radiograph", patients=patients, seed=100)
    truth, who = report.table.kl.to_numpy(), report.table.patient_id.to_numpy()
    for seed in range(seeds):
        change = Augment(rotate=10, scale=.12, shift=.08, contrast=.4)
        learn = learner(SimpleNamespace(train=phantom, valid=None), "kellgren_lawrence_true", task="grade", seed=seed, mirror={"side": "L"}, augment=change)
        with learn.no_bar(), learn.no_logging(): fit(learn, epochs, 5e-3)
        p = predictions(learn, report, shifts=5)
        said = {f"grade ≥ {g}": str(interval(auc, (truth >= g).astype(int), p[[f"p{k}" for k in range(g, 5)]].sum(axis=1).to_numpy(), who)) for g in (2, 3)}
        answers = [round(float(p.prediction[truth == g].mean()), 2) for g in range(5)]
        print(f"seed {seed}, {len(phantom)} simulated knees, {len(report)} real ones, AUC:", said, "mean answer by true grade:", answers, flush=True)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, default=Path("realism"))
    ask.add_argument("--transfer", action="store_true", help="also train on simulated knees and report on the real ones held back")
    a = ask.parse_args()
    if not os.environ.get("RHEUMKIT_REAL"): sys.exit("RHEUMKIT_REAL is not set: there are no real images to compare with")
    real = Path(os.environ["RHEUMKIT_REAL"])
    a.out.mkdir(parents=True, exist_ok=True)
    for make in (knees, hands, knee_echoes, spines): make(real, a.out)
    if a.transfer: knee_transfer(real)


if __name__ == "__main__": main()

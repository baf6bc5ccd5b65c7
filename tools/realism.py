"""Real images beside simulated ones, for the eye, and what can be counted: a page for each modality in realism/ (not part of the repository).

    RHEUMKIT_REAL=folder python tools/realism.py [--out realism] [--transfer]

Only the first half of the real patients is ever shown or used to develop with; --transfer reports on the other half:
knees graded by what a network draws in them, and a segmenter of the spine, trained on simulated images alone (an hour).
Numbers (no images) go into the table that the realism notebook shows.
"""
import argparse
import base64
import html
import io
import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional as F

from rheumkit.core.figures import to_uint8
from rheumkit.core.sweeps import results, results_folder, save_results
from rheumkit.images.cohort import Cohort
from rheumkit.images.dicom import read_dicom, read_series
from rheumkit.learning.metrics import Estimate, auc, dice, interval
from rheumkit.learning.training import Augment, bf16_gains
from rheumkit.phantom.realism import spectrum_and_greys
from rheumkit.phantom.recipes import recipe, simulate


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


def cross_fitted(real, simulated, score, seed=0):
    "AUC and its interval over patients, every image scored by a model fitted to the other half of the patients; 0.5 would be perfect realism."
    truth = np.r_[np.ones(len(real), int), np.zeros(len(simulated), int)]
    who = np.array([f"real {p}" for p in real.table.patient_id] + [f"simulated {p}" for p in simulated.table.patient_id])
    rng, fold = np.random.default_rng(seed), np.zeros(len(who), int)
    for kind in ("real", "simulated"):       # as many patients of either kind in both halves
        people = np.unique([w for w in who if w.startswith(kind)])
        fold[np.isin(who, rng.permutation(people)[:len(people)//2])] = 1
    answer = np.zeros(len(who))
    for half in (0, 1): answer[fold == half] = score(np.flatnonzero(fold != half), np.flatnonzero(fold == half))
    return interval(auc, truth, answer, who)


def even(image):
    "Every image at mean 0, standard deviation 1, (N,1,H,W): how bright a file is stored must not give it away."
    return (image - image.mean((1, 2, 3), keepdim=True))/image.std((1, 2, 3), keepdim=True).clamp_min(1e-6)


def told_apart(real, simulated, seed=0):
    "Logistic regression on spectrum and grey levels tells real from simulated."
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    x = np.concatenate([spectrum_and_greys(c.tensor()[:, 0]).numpy() for c in (real, simulated)])
    y = np.r_[np.ones(len(real)), np.zeros(len(simulated))]

    def score(fit_on, judge): return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x[fit_on], y[fit_on]).decision_function(x[judge])
    return cross_fitted(real, simulated, score, seed)


def told_apart_by_network(real, simulated, epochs=8, seed=0):
    "The kit's own small network tells real from simulated."
    from types import SimpleNamespace

    from rheumkit.learning.training import fit, learner, predictions
    x = torch.cat([even(c.tensor()[:, :1]) for c in (real, simulated)])
    table = pd.concat([real.table[["patient_id"]].assign(real=1), simulated.table[["patient_id"]].assign(real=0)], ignore_index=True)
    table["image_id"] = table.index.astype(str)
    both = Cohort(table, list(x))

    def score(fit_on, judge):
        learn = learner(SimpleNamespace(train=both.where(fit_on), valid=None), "real", task="classify", seed=seed, batch=32)
        with learn.no_bar(), learn.no_logging(): fit(learn, epochs, 5e-3)
        return predictions(learn, both.where(judge)).p1.to_numpy()
    return cross_fitted(real, simulated, score, seed)


def both_ways(real, simulated):
    "The two numbers of a page."
    return {"real or simulated, from spectrum and grey levels, AUC": told_apart(real, simulated),
            "real or simulated, by a small network, AUC": told_apart_by_network(real, simulated)}


def row(modality, number, value):
    "A line of the stored table."
    if not hasattr(value, "low"): return {"modality": modality, "number": number, "value": value, "low": np.nan, "high": np.nan}
    return {"modality": modality, "number": number, "value": value.value, "low": value.low, "high": value.high}


def middle_of(image, spacing, extent):
    "The middle of an image, as many mm high and wide as the simulated ones."
    n = [min(side, round(mm/s)) for side, mm, s in zip(image.shape, extent, spacing)]
    return image[tuple(slice((side-k)//2, (side-k)//2+k) for side, k in zip(image.shape, n))]


def knees(real, out):
    cohort, _ = halves(Cohort.from_table(real/"knees"/"knees.csv", labels=["kl"]))
    phantom = simulate("knee-radiograph", patients=120, seed=5)
    rows = []
    for grade in range(5):
        theirs, ours = (np.flatnonzero(c.table[k] == grade)[:4] for c, k in ((cohort, "kl"), (phantom, "kellgren_lawrence_true")))
        pairs = [part for a, b in zip(theirs, ours) for part in ((cohort, a, "real"), (phantom, b, "simulated"))]
        rows.append([tag(c.pixels[int(i)][0], f"{word}, grade {grade}") for c, i, word in pairs])
    some = cohort.where(np.arange(0, len(cohort), 6))
    numbers = both_ways(some, phantom)
    page(out, "Knee radiograph", rows, numbers)
    return [row("knee radiograph", k, v) for k, v in numbers.items()]


def hands(real, out):
    film = read_dicom(real/"dicom"/"CR_HAND_PA_j2k_lossless.dcm")
    phantom = simulate("hand-radiograph", patients=3, seed=1, sides=("R",))
    hand = middle_of(film.display()[0], film.spacing, [n*mm for n, mm in zip(phantom.pixels[0].shape[1:], phantom.spacing)])
    rows = [[tag(shrunk(hand, phantom.pixels[0].shape[1:]), "real"), *(tag(phantom.pixels[i][0], "simulated") for i in range(3))]]
    page(out, "Hand radiograph", rows, {"real hands at hand": 1})
    return [row("hand radiograph", "real images to compare with", 1)]


def knee_echoes(real, out):
    series, phantom = read_series(real/"knee_mese"), simulate("knee-mri-t2", patients=1, seed=3)
    theirs, ours, middle = series.pixels, phantom.pixels[0], series.pixels.shape[1]//2
    extent = [n*mm for n, mm in zip(ours.shape[2:], phantom.spacing[1:])]

    def t2(x, te):       # of the brighter half of the pixels, from a straight line through the logarithms
        y = x[:, x[0] > x[0].median()].clamp_min(1e-3).log()
        t = torch.tensor(te, dtype=torch.float32)
        slope = ((t - t.mean())[:, None]*(y - y.mean(0))).sum(0)/((t - t.mean())**2).sum()
        return float((-1/slope.clamp(-1, -1e-3)).median())
    echoes = np.linspace(6.3, 50.5, 8)
    theirs, ours = theirs[:, middle], ours[:, ours.shape[1]//2]
    same = torch.stack([middle_of(x, series.spacing[1:], extent) for x in theirs])
    rows = [[tag(x[e], f"{word}, echo {e + 1}") for e in (0, 3, 7)] for x, word in ((same, "real"), (ours, "simulated"))]
    found = {"T2 of the brighter half of a middle slice, ms, real": round(t2(theirs, echoes), 1), "simulated": round(t2(ours, echoes), 1)}
    page(out, "Knee MRI echoes", rows, found)
    return [row("knee MRI, echoes", k if k.startswith("T2") else "T2 of the brighter half of a middle slice, ms, simulated", v) for k, v in found.items()]


def spines(real, out):
    theirs, _ = halves(real_spines(real))
    phantom = spine_slices(100, seed=2)
    phantom = phantom.where(np.arange(0, len(phantom), 2))     # the T2 of every pair
    rows = [[tag(theirs.pixels[i][0], "real") for i in range(0, 16, 2)],
            [tag(phantom.pixels[i][0], "simulated") for i in range(8)]]
    numbers = both_ways(theirs, phantom)
    page(out, "Lumbar spine MRI", rows, numbers)
    return [row("lumbar spine MRI", k, v) for k, v in numbers.items()]


spider = {  # Colours of the masks; the last of either kind is T11 and the disc below it
    "vertebra": ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (128, 40, 40)),
    "disc": ((128, 128, 0), (0, 128, 128), (128, 0, 128), (40, 40, 40), (80, 80, 80), (128, 128, 128), (255, 255, 255))}


def shrunk(image, size):
    "An image (H,W), or a stack of them, at another size."
    x = torch.as_tensor(np.ascontiguousarray(image)).float()
    return torch.nn.functional.interpolate(x.view(1, -1, *x.shape[-2:]), tuple(size), mode="bilinear", antialias=True).view(*x.shape[:-2], *size)


def levelled(image):
    "Grey levels between the 1st and the 99th percentile as 0 to 1."
    low, high = torch.quantile(image, torch.tensor([.01, .99]))
    return ((image - low)/(high - low).clamp_min(1e-6)).clamp(0, 1)


def real_spines(real, side=128):
    "The slices and their masks (1 vertebra, 2 disc). The source kept no spacing, but all its fields of view are about as high and wide: they are made square."
    rows, images, masks = [], [], []
    for file in sorted((real/"lumbar_mri"/"images").iterdir()):
        grey = np.asarray(Image.open(file).convert("L"), np.float32)[::-1]
        colours = np.asarray(Image.open(real/"lumbar_mri"/"masks_rgb"/file.name).convert("RGB"))[::-1]
        kinds = np.stack([np.logical_or.reduce([(colours == np.array(c)).all(-1) for c in many]) for many in spider.values()]).astype(np.float32)
        shares = shrunk(np.concatenate([1 - kinds.sum(0, keepdims=True), kinds]), (side, side))
        images.append(levelled(shrunk(grey, (side, side)))[None])
        masks.append(shares.argmax(0).to(torch.uint8))
        rows.append({"image_id": file.stem, "patient_id": file.stem.split("_")[0]})
    return Cohort(pd.DataFrame(rows), images, {"parts": masks}, name="real lumbar spines")


def spine_slices(patients, seed=100, aside=38.):
    "A simulated slice a person, up to `aside` mm from the middle and somewhat oblique, as T2 and as T1; masks as `real_spines`."
    usual = recipe("spine-mri")

    def anywhere(person, side, visit, rng):
        found, own = usual.disease(person, side, visit, rng), np.random.default_rng([person["seed"], visit])
        x, y, _ = found["pose"]["shift"]
        turned = {"x": float(own.normal(0, 5)), "y": float(own.normal(0, 6))}
        return {**found, "pose": {**found["pose"], **turned, "shift": (x, y, float(own.uniform(-aside, aside)))}}
    phantom = simulate(replace(usual, name="spine-mri slices", disease=anywhere, size=(128, 128)), patients=patients, seed=seed)
    discs = ("T12L1", "L12", "L23", "L34", "L45", "L5S1", "upper discs")
    part = torch.tensor([0, *(2 if n in discs else 1 if n[0] in "LT" or n == "upper" else 0 for n in usual.structures)], dtype=torch.uint8)
    rows, images, masks = [], [], []
    for i, who in enumerate(phantom.table.patient_id):
        labels = part[phantom.truth["structures"][i].long()]
        for contrast, image in zip(("T2", "T1"), phantom.pixels[i]):
            rows.append({"image_id": f"{who}-{contrast}", "patient_id": who})
            images.append(levelled(image)[None])
            masks.append(labels)
    return Cohort(pd.DataFrame(rows), images, {"parts": masks}, name="simulated lumbar spines", simulated=True)


@dataclass
class OtherCoils(Augment):
    "As `Augment`; besides, other fields of view, uneven coils, windows, sharpness and noise."
    def __call__(self, x, y, generator=None):
        n, F = len(x), torch.nn.functional

        def rand(*shape): return torch.rand(*shape, generator=generator)*2 - 1
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2] = (.18*rand(n)).exp(), (.18*rand(n)).exp(), .2*rand(n)
        grid = F.affine_grid(theta, (n, 1, *x.shape[2:]), align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        if y is not None: y = F.grid_sample(y[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)[:, 0].long()
        x = (x*F.interpolate(.6*rand(n, 1, 4, 4), x.shape[2:], mode="bicubic").exp()).clamp_min(0)
        x = x/torch.quantile(x.flatten(1)[:, ::7], .99, dim=1).view(-1, 1, 1, 1).clamp_min(.05)*(.15*rand(n, 1, 1, 1)).exp()
        x = x.clamp(0, 1)**(.6*rand(n, 1, 1, 1)).exp()
        soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = x + .8*rand(n, 1, 1, 1)*(soft - x) + .04*rand(n, 1, 1, 1).abs()*torch.randn(x.shape, generator=generator)
        return super().__call__(x, y, generator)


def mean_dice(truth, drawn):
    "Mean over the images, and over vertebrae and discs, of the Dice of what is in the image."
    return float(np.mean([np.nanmean([dice(t == k, d == k) if (t == k).any() else np.nan for t, d in zip(truth, drawn)]) for k in (1, 2)]))


def spine_transfer(real, patients=1000, epochs=7, seeds=3, develop=False):
    "Vertebrae and discs drawn by a network trained on simulated slices alone, on the half of the real patients that nobody developed with."
    from types import SimpleNamespace

    from rheumkit.learning.training import fit, learner, segment
    cohort = halves(real_spines(real))[0 if develop else 1]
    phantom = spine_slices(patients)
    truth, who, drawn = cohort.truth_tensor("parts").numpy(), cohort.table.patient_id.to_numpy(), []
    for seed in range(seeds):
        change = OtherCoils(rotate=10, scale=.12, shift=.08, contrast=.2)
        learn = learner(SimpleNamespace(train=phantom, valid=None), "parts", task="segment", seed=seed, batch=32, augment=change)
        with learn.no_bar(), learn.no_logging(): fit(learn, epochs, 5e-3)
        drawn.append(segment(learn, cohort).numpy())
        found = interval(mean_dice, truth, drawn[-1], who)
        print(f"seed {seed}, {len(phantom)} simulated slices, {len(cohort)} real ones of {len(cohort.patients)} patients, mean Dice {found}", flush=True)
    found, each = [], [mean_dice(truth, d) for d in drawn]
    for name, k in (("vertebrae", 1), ("discs", 2)):
        def score(t, d, k=k): return float(np.nanmean([dice(a == k, b == k) if (a == k).any() else np.nan for a, b in zip(t, d)]))
        found.append(row("lumbar spine MRI", f"Dice of {name}, trained on simulated slices alone (first seed)", interval(score, truth, drawn[0], who)))
    found.append(row("lumbar spine MRI", "mean Dice of vertebrae and discs (first seed)", interval(mean_dice, truth, drawn[0], who)))
    spread = Estimate(np.mean(each), *(np.mean(each) + sign*np.std(each, ddof=1) for sign in (-1, 1)))
    found.append(row("lumbar spine MRI", f"mean Dice, mean of {seeds} seeds ± SD", spread))
    print("mean Dice of the seeds", np.round(each, 3), f"{np.mean(each):.3f} ± {np.std(each, ddof=1):.3f}", flush=True)
    return found


class OtherLooks(Augment):
    "For training on phantoms: turn, zoom and shift, then other films: gamma, blur or sharpness, local contrast, uneven light, grain."
    def __call__(self, x, y, generator=None):
        x, y = super().__call__(x, y, generator)
        side = x.shape[-1]

        def smooth(x, sigma):
            reach = math.ceil(3*sigma)
            line = torch.exp(-.5*(torch.arange(-reach, reach + 1)/sigma)**2)
            line /= line.sum()
            return F.conv2d(F.conv2d(F.pad(x, (reach,)*4, mode="reflect"), line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))
        def by(most): return (torch.rand(len(x), 1, 1, 1, generator=generator)*2 - 1)*most
        def field(n): return F.interpolate(torch.randn(len(x), 1, n, n, generator=generator), x.shape[-2:], mode="bicubic")
        x = x.clamp(1e-3, 1)**torch.exp(by(.65))
        for sigma, most in ((.0156*side, 1.3), (.12*side, .6)): x = x + by(most)*(x - smooth(x, sigma))
        for n, most in ((4, .09), (side//3, .08), (side, .05)): x = x + field(n)*by(most)
        return x, y


class Standard(torch.nn.Module):
    "A network that sees every image with mean 0 and SD 1, wherever it comes from."
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x): return self.network((x - x.mean((2, 3), keepdim=True))/x.std((2, 3), keepdim=True).clamp_min(1e-3))


def apart(small:bool=False):
    """The usual knee, but each lesion comes by itself, and healthy rims are round or sharp:
    each has to be found by its own look.
    small: short osteophytes."""
    from rheumkit.phantom import knee
    usual = recipe("knee-radiograph")

    def person(rng, causes=None):
        found = usual.person(rng, causes)
        own = np.random.default_rng(found["grain"])
        normal = tuple(max(2.6, n + own.normal(-.2, .6)) for n in found["normal_mm"])
        return {**found, "size": .96*found["size"], "normal_mm": normal, "rim": own.uniform(1.2, 4.2)}

    def disease(person, side, visit, rng):
        def some(share, power=1.): return float(rng.uniform()**power) if rng.uniform() < share else 0.
        both, found = ("medial", "lateral"), usual.disease(person, side, visit, rng)
        found["narrowing"] = {c: some(.5) for c in both}
        found["osteophyte"] = {site: .6*some(.6, 2.5) if small else some(.55, 1.5) for site in knee.sites}
        found["sclerosis"], found["cyst"] = ({c: some(share) for c in both} for share in (.4, .1))
        found["spiking"], found["attrition"] = some(.5), {c: some(.1) for c in both}
        found["pose"] = {"turn": rng.normal(0, 6), "tilt": rng.normal(1, 4.5), "lean": rng.normal(0, 3), "shift": (rng.normal(0, 2.5), rng.normal(0, 2.5))}
        return found

    def truth(scene):    # femur, tibia, either joint space; tenths of mm of osteophyte, thirtieths of mm of sclerosis, tenths of mm of pointed spines
        def added(name):
            severity = scene.severities[name]
            without = {**scene.severities, name: dict.fromkeys(severity, 0.) if isinstance(severity, dict) else 0.}
            return (scene.now[1]["bone"] - scene.paths(without)[1]["bone"]).abs()
        lesions = scene.seen(torch.stack([10*added("osteophyte"), 30*added("sclerosis"), 10*added("spiking")]).clamp(0, 255).byte())
        parts = torch.tensor([0, 1, 2, 0, 0, 3, 4], dtype=torch.uint8)[usual.truth(scene)["structures"].long()]
        return {"structures": torch.cat([parts[None], lesions])}
    return replace(usual, name="knee parts", person=person, disease=disease, truth=truth)


def as_right(x, cohort):
    "Left knees mirrored."
    return torch.where(torch.tensor(list(cohort.table.side == "L")).view(-1, *[1]*(x.ndim - 1)), x.flip(-1), x)


def knee_drawings(patients, seed, small=False):
    "Simulated knees and what is to be drawn in them: images (N,1,H,W), maps (N,4,H,W), bytes."
    phantom = simulate(apart(small), patients=patients, seed=seed)
    images = torch.stack([(phantom.pixels[i]*255).round().byte() for i in range(len(phantom))])
    return as_right(images, phantom), as_right(torch.stack([phantom.truth["structures"][i] for i in range(len(phantom))]), phantom)


def drawing_loss(drawn, maps, full):
    "Cross-entropy and Dice for bones and joint spaces, and for osteophytes, sclerosis and pointed spines, which count in full from so many units on."
    kinds, label = drawn[:, :5], maps[:, 0].long()
    wanted = torch.cat([F.one_hot(label, 5).movedim(-1, 1).float(), (maps[:, 1:].float()/torch.tensor(full).view(1, 3, 1, 1)).clamp(max=1)], 1)
    p = torch.cat([kinds.softmax(1), drawn[:, 5:].sigmoid()], 1)
    power = torch.tensor([1]*5 + [2]*3).view(1, 8, 1, 1)
    missed = 1 - (2*(p*wanted).sum((0, 2, 3)) + 1)/((p**power + wanted**power).sum((0, 2, 3)) + 1)
    return F.cross_entropy(kinds, label) + F.binary_cross_entropy_with_logits(drawn[:, 5:], wanted[:, 5:]) + missed[1:5].mean() + missed[5:].mean()


def drawing_network(courses, seed=0, batch=32):
    """A small U-Net that draws bones, joint spaces, osteophytes, sclerosis and pointed spines.
    Each course of its training is (images, maps, epochs, rate, full)."""
    from rheumkit.learning.network import small_unet
    torch.manual_seed(seed)
    generator, change = torch.Generator().manual_seed(seed), OtherLooks(rotate=10, scale=.14, shift=.06, contrast=0., spatial=2)
    network = Standard(small_unet(1, 8)).to(memory_format=torch.channels_last)
    for images, maps, epochs, rate, full in courses:
        steps = len(images)//batch
        optimiser = torch.optim.AdamW(network.parameters(), rate)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps*epochs)
        network.train()
        for rows in (r for _ in range(epochs) for r in torch.randperm(len(images), generator=generator)[:steps*batch].split(batch)):
            x, y = change(images[rows].float()/255, maps[rows], generator)
            x = torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < .08, 1 - x, x)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16_gains()): drawn = network(x)
            loss = drawing_loss(drawn.float(), y, full)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
    return network.eval()


@torch.no_grad()
def measured(network, cohort):
    """(N,) each: width of the narrower joint space in pixels, and how sure the network is (logarithms) of the best hundredth of osteophyte pixels
    and of the best 1 in 500 of pointed spines."""
    x = as_right(cohort.tensor(), cohort)
    edge, middle = torch.cat([x[..., :8], x[..., -8:]], -1).mean((1, 2, 3)), x[..., 15:100, 30:82].mean((1, 2, 3))
    x = torch.where((edge > middle).view(-1, 1, 1, 1), 1 - x, x)      # some films are stored as negatives
    found = []
    for part in x.split(50):
        drawn = [network(part.roll(by, (2, 3))).roll([-b for b in by], (2, 3)) for by in ((0, 0), (1, 0), (0, 1))]
        p = sum(torch.cat([d[:, :5].softmax(1), d[:, 5:].sigmoid()], 1) for d in drawn)/3
        gaps = p[:, 3:5]
        width = F.avg_pool1d(gaps.sum(2), 3, 1, 1).where(gaps.amax(2) > .4, torch.nan)
        narrow = torch.nanquantile(width, torch.tensor([.15, .3]), dim=2).nan_to_num(0.).amin(2).mean(0)
        sure = [(p[:, k].flatten(1).quantile(best, dim=1) + .02).log() for k, best in ((5, .99), (7, .998))]
        found.append(torch.stack([narrow, *sure]))
    return torch.cat(found, 1).numpy()


def knee_transfer(real, patients=1000, seeds=3, develop=False, networks=None):
    """Knees graded by what a network draws that saw simulated ones alone, on the half of the real patients that nobody developed with.
    As the grades are defined: narrowing says whether it is grade 3 or more; osteophytes and narrowing whether it is grade 2, and, with half their weight,
    pointed tibial spines.
    To add these up, their mean and SD over the images of the other half are used, not its grades."""
    known, report = halves(Cohort.from_table(real/"knees"/"knees.csv", labels=["kl"]))
    cohort = known if develop else report
    truth, who, each = cohort.table.kl.to_numpy(), cohort.table.patient_id.to_numpy(), []
    if networks is None:
        large, small = knee_drawings(patients, 200), knee_drawings(9*patients//10, 300, small=True)
        first, second = ([torch.cat([b, a[:len(a)//part]]) for a, b in zip(large, small)] for part in (1, 2))
        networks = (drawing_network([(*first, 4, 4e-3, (50., 120., 50.)), (*second, 3, 2e-3, (25., 120., 25.))], seed) for seed in range(seeds))
    for network in networks:
        usual, here = measured(network, known), measured(network, cohort)
        width, osteophytes, spines = (here - usual.mean(1, keepdims=True))/usual.std(1, keepdims=True)
        each.append({2: osteophytes - width + spines/2, 3: -width})
    found = []
    for g in (2, 3):
        values = np.array([auc(truth >= g, scores[g]) for scores in each], float)
        mean, sd, name = values.mean(), values.std(ddof=min(len(each) - 1, 1)), f"AUC of grade {g} or more, trained on simulated knees alone,"
        kind, together = "knee radiograph", sum(scores[g] for scores in each)
        found += [row(kind, f"{name} mean of {len(each)} seeds ± SD", Estimate(mean, mean - sd, mean + sd)),
                  row(kind, f"{name} {len(each)} networks together", interval(auc, (truth >= g).astype(int), together, who))]
    print(pd.DataFrame(found).to_string(), flush=True)
    return found


def keep(rows):
    "Put the new numbers into the stored table, in place of the old ones of the same name."
    if not rows: return
    new = pd.DataFrame(rows).assign(seed=0)
    if (results_folder()/"realism.csv").exists():
        old = results("realism")
        same = old.set_index(["modality", "number"]).index.isin(new.set_index(["modality", "number"]).index)
        new = pd.concat([old[~same], new])
    save_results("realism", new.sort_values("modality", kind="stable"), ["rheumkit.phantom.realism"])


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, default=Path("realism"))
    ask.add_argument("--transfer", action="store_true", help="also train on simulated knees and report on the real ones held back")
    ask.add_argument("--only", nargs="*", help="knees, hands, echoes, spines, knee-transfer, spine-transfer; all if not given")
    a = ask.parse_args()
    if not os.environ.get("RHEUMKIT_REAL"): sys.exit("RHEUMKIT_REAL is not set: there are no real images to compare with")
    real = Path(os.environ["RHEUMKIT_REAL"])
    a.out.mkdir(parents=True, exist_ok=True)
    makers = {"knees": knees, "hands": hands, "echoes": knee_echoes, "spines": spines}
    rows = [found for name in a.only or makers if name in makers for found in makers[name](real, a.out) or []]
    if a.transfer:
        for name, make in {"knee-transfer": knee_transfer, "spine-transfer": spine_transfer}.items():
            if not a.only or name in a.only: rows += make(real) or []
    keep(rows)


if __name__ == "__main__": main()

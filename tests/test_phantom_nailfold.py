"""The simulated nailfold: what is counted is what is painted, on both hands, and disease moves one way."""
import numpy as np
import pandas as pd
import pytest

from rheumkit.phantom.nailfold import _loops, capillaries, disease, nailfold_capillaroscopy, person, scleroderma_pattern, scores, width_um
from rheumkit.phantom.recipes import simulate

def ill(seed, stage):
    rng = np.random.default_rng(seed); who = person(rng)
    return {**who, "stage": stage}

@pytest.mark.parametrize("side", ["R", "L"])
def test_every_counted_capillary_is_there(side):
    cohort = simulate("nailfold-capillaroscopy", patients=8, sides=(side,), seed=11)
    hit, number = 0, 0
    for i, places in enumerate(cohort.table.capillaries_mm):
        labels = cohort.truth["structures"][i]; boxes = capillaries(places, tuple(labels.shape))
        assert len(boxes) == cohort.table.capillaries_true[i] and (boxes.kind == "giant").sum() == cohort.table.giant_capillaries_true[i]
        for b in boxes.itertuples():
            r, c = round(b.row), round(b.column); hit += int(labels[max(r-2, 0):r+4, max(c-3, 0):c+4].max() > 0); number += 1
            assert b.top-1 <= b.row <= b.bottom+1 and b.left-1 <= b.column <= b.right+1
    assert number > 60 and hit > .95*number

def test_lost_capillaries_stay_lost_and_density_falls():
    for seed in range(12):
        who = ill(seed, .4)
        visits = [disease(who, "R", v, np.random.default_rng(seed)) for v in range(5)]
        for before, after in zip(visits, visits[1:]): assert set(before["loss"]) <= set(after["loss"])
        assert len(visits[-1]["loss"]) > len(visits[0]["loss"])

def test_patterns_follow_the_stage():
    pattern = {stage: np.mean([scores(disease(ill(seed, stage), "R", 0, np.random.default_rng(seed)))["scleroderma_pattern"] for seed in range(30)]) for stage in (0., .25, .55, .95)}
    assert list(pattern.values()) == sorted(pattern.values()) and pattern[0.] == 0 and pattern[.95] > 2.6

def test_a_giant_is_as_wide_as_a_giant():
    "50 µm and more; no other capillary is."
    for seed in range(20):
        who = ill(seed, .45); found = disease(who, "R", 0, np.random.default_rng(seed)); edge = [c for c in _loops(who, "R") if c["row"] == 0]
        for i, c in enumerate(edge):
            if str(i) in found["neoangiogenesis"]: continue
            giant = found["giant"].get(str(i), 0.)
            assert (width_um(c, giant, found["enlargement"].get(str(i), 0.)) >= 50) == (giant >= .5), (seed, i)

def test_the_pattern_is_what_the_counts_say():
    rows = [(14, 0, 0, 0), (14, 2, 0, 1), (12, 0, 1, 1), (10, 1, 0, 2), (10, 0, 0, 0), (10, 0, 4, 3), (4, 0, 0, 3), (4, 2, 0, 3)]      # capillaries in 1.6 mm, giants, bushes, pattern
    counts = pd.DataFrame(rows, columns=["capillaries", "giant_capillaries", "ramified_capillaries", "pattern"])
    assert scleroderma_pattern(counts).tolist() == counts.pattern.tolist()

def test_visits_share_the_skin():
    who = ill(3, 0.); still = {"pose": {}}
    a, b = (nailfold_capillaroscopy.image(nailfold_capillaroscopy.scene(who, "R", {**disease(who, "R", v, np.random.default_rng(1)), "haemorrhage": {}, **still}), next(iter(nailfold_capillaroscopy.scanners.values()))) for v in (0, 1))
    assert (a-b).abs().max() == 0

"Sequences and scanners of MRI: Dixon's images, skipped lines of k-space, and what cannot be set."
from dataclasses import replace

import numpy as np
import pytest
import torch

from rheumkit.phantom.mri import Layer, MRIScanner, Sequence, sampled_lines, signal, tissues, undersampled
from rheumkit.phantom.recipes import recipe, simulate

EVERYTHING = (slice(None),)*3
HALF = torch.full((1, 12, 12), .5)
LAYERS = [Layer(EVERYTHING, torch.ones(1, 12, 12), "fat"), Layer(EVERYTHING, HALF, "muscle")]


def scanner(*dixon, **more):
    return MRIScanner("test", "here", sequences=tuple(Sequence(d or "in phase", 2000, 5, dixon=d) for d in dixon), noise=(.02,)*len(dixon), gain=(1.,)*len(dixon), acquired=(1., 1.), bias=0., **more)


def test_water_and_fat_add_up_in_phase_and_cancel_in_opposed_phase():
    both, opposed, water, fat = scanner("", "opposed", "water", "fat").acquire(LAYERS, (1, 12, 12))
    assert torch.allclose(both, water + fat, atol=1e-6) and torch.allclose(opposed, (water - fat).abs(), atol=1e-6)
    assert float(opposed.mean()) < .3*float(both.mean()), "a voxel of both is dark in opposed phase"
    assert signal(tissues["fat"], Sequence("", 600, 10, dixon="water")) == 0 == signal(tissues["muscle"], Sequence("", 600, 10, dixon="fat"))


def test_all_lines_are_the_whole_picture_and_every_second_one_folds_it():
    picture = torch.rand(2, 16, 10)
    assert torch.allclose(undersampled(picture, sampled_lines(16, 1)), picture, atol=1e-5)
    point = torch.zeros(16, 10); point[3, 5] = 1
    folded = undersampled(point, sampled_lines(16, 2, "regular", centre=0))
    assert torch.allclose(folded[[3, 11], 5], torch.tensor([.5, .5]), atol=1e-6) and float(folded.sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("acceleration", [2, 3.5, 6])
def test_as_many_lines_are_measured_as_was_asked_for_the_middle_among_them(acceleration):
    lines = sampled_lines(120, acceleration, seed=3)
    assert int(lines.sum()) == round(120/acceleration) and lines[:4].all() and lines[-3:].all()
    assert torch.equal(lines, sampled_lines(120, acceleration, seed=3)) and not torch.equal(lines, sampled_lines(120, acceleration, seed=4))


def test_an_accelerated_scanner_makes_another_picture_of_the_same_wrist():
    wrist = recipe("wrist-mri")
    name, usual = next(iter(wrist.scanners.items()))
    fast = replace(wrist, scanners={**wrist.scanners, name: usual.with_(acceleration=3)})
    one, other = (simulate(r, patients=1, seed=2, sides=("R",), scanner=name, noise=False).pixels[0] for r in (wrist, fast))
    assert one.shape == other.shape and float((one - other).abs().mean()) > .02*float(one.mean())


def test_noise_of_an_accelerated_scanner_follows_the_seed():
    s = scanner("", acceleration=2)
    images = [s.acquire(LAYERS, (1, 12, 12), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


@pytest.mark.parametrize("wrong, said", [(lambda: Sequence("x", 500, 10, dixon="lipid"), "'water', 'fat' or 'opposed'"), (lambda: scanner("", acceleration=0), "from 1 .all. to 12"), (lambda: scanner("", pattern="spiral"), "'random' or 'regular'")])
def test_what_cannot_be_set_is_said_with_the_choices(wrong, said):
    with pytest.raises(ValueError, match=said): wrong()

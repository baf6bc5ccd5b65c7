"""A saliency map leaves the network as it found it, and keeps its amount."""
from types import SimpleNamespace

import pytest
import torch

from rheumkit.explaining.saliency import gradcam
from rheumkit.learning.training import learner

from test_learning_training import discs


@pytest.mark.parametrize("target", ["large", "grade", "radius_mm"])
def test_no_trace_on_the_model(target):
    splits = SimpleNamespace(train=discs(32, 1), valid=None)
    learn = learner(splits, target, seed=0)
    model = learn.model
    model.train(); model.network.stem.eval()
    model.network.head.weight.grad = torch.ones_like(model.network.head.weight)
    modes, weights = {m: m.training for m in model.modules()}, {k: v.clone() for k, v in model.state_dict().items()}
    maps = gradcam(learn, splits.train)
    assert maps.raw.shape == (32, 24, 24) and (maps.raw >= 0).all() and len(maps.mass) == 32
    assert {m: m.training for m in model.modules()} == modes
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert torch.equal(model.network.head.weight.grad, torch.ones_like(model.network.head.weight))
    assert all(p.grad is None for p in model.parameters() if p is not model.network.head.weight)
    assert not any(m._forward_hooks for m in model.modules())


def test_twice_the_answer_is_twice_the_mass():
    splits = SimpleNamespace(train=discs(16, 1), valid=None)
    learn = learner(splits, "radius_mm", seed=0)
    once = gradcam(learn, splits.train, block=-2).mass
    learn.model.target_sd *= 2
    assert gradcam(learn, splits.train, block=-2).mass == pytest.approx(2 * once, rel=1e-3)


def test_volumes():
    splits = SimpleNamespace(train=discs(8, 1, deep=4), valid=None)
    assert gradcam(learner(splits, "grade", seed=0), splits.train).raw.shape == (8, 4, 24, 24)

"""The learner on made-up discs whose truth is known."""
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from rheumkit.images.cohort import Cohort
from rheumkit.learning.metrics import auc, dice
from rheumkit.learning.network import small_network
from rheumkit.learning.training import Augment, Batches, fit, learner, predictions, segment


def discs(n, seed, size=24, deep=0):
    rng = np.random.default_rng(seed)
    grade = rng.integers(0, 3, n)
    rows, columns = np.mgrid[:size, :size]
    centre = rng.uniform(9, size - 9, (n, 2, 1, 1))
    mask = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < (2 + 3 * grade[:, None, None]) ** 2
    if deep: mask = np.repeat(mask[:, None], deep, 1)
    images = torch.from_numpy(mask + rng.normal(0, .3, mask.shape)).float()[:, None]
    ids = [f"I{seed}-{i:04}" for i in range(n)]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "side": np.where(np.arange(n) % 2, "L", "R"), "grade": grade, "large": grade == 2, "radius_mm": 2. + 3 * grade})
    return Cohort(table, images, {"disc": torch.from_numpy(mask).to(torch.uint8), "lesions": torch.from_numpy(mask).float().unsqueeze(1)}, simulated=True)


def quiet(learn, epochs=4):
    with learn.no_bar(), learn.no_logging(): return fit(learn, epochs)


@pytest.fixture(scope="module")
def splits(): return SimpleNamespace(train=discs(128, 1), valid=discs(32, 2), test=discs(64, 3))


def test_loss_falls_and_the_answer_beats_chance(splits):
    learn = quiet(learner(splits, "large", seed=0, batch=32), 6)
    losses = [float(row[0]) for row in learn.recorder.values]
    assert losses[-1] < losses[0]
    answer = predictions(learn, splits.test)
    assert list(answer.columns) == ["image_id", "patient_id", "target", "prediction", "p0", "p1"]
    assert auc(answer.target, answer.p1) > .8


def test_same_seed_same_weights_and_the_callers_random_numbers_stay(splits):
    torch.manual_seed(5); expected = torch.rand(1)
    torch.manual_seed(5)
    weights = [quiet(learner(splits, "grade", seed=s), 1).model.state_dict() for s in (3, 3, 4)]
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values()))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[2].values()))


def test_a_function_that_makes_a_network_draws_its_first_weights_from_the_seed(splits):
    narrow = partial(small_network, widths=(4, 8))
    one, same, usual = (learner(splits, "grade", seed=3, network=n).model.network for n in (narrow, narrow, small_network))
    assert len(one.blocks) == 2 and one.head.out_features == len(learner(splits, "grade").aim.classes)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(usual.parameters(), learner(splits, "grade", seed=3).model.network.parameters()))
    with pytest.raises(TypeError, match="function of"): learner(splits, "grade", network=(8, 16))


@pytest.mark.parametrize("target,task", [("large", "classify"), ("grade", "grade"), ("radius_mm", "regress"), ("disc", "segment"), ("lesions", "segment")])
def test_task_follows_from_the_target(splits, target, task):
    learn = learner(splits, target, seed=0)
    assert learn.aim.task == task
    quiet(learn, 1)
    if task == "segment":
        drawn = segment(learn, splits.test)
        assert drawn.dtype == torch.uint8 and drawn.shape == splits.test.truth_tensor(target).shape
    else: assert np.isfinite(predictions(learn, splits.test).prediction).all()


def test_regression_answers_in_the_targets_unit(splits):
    answer = predictions(quiet(learner(splits, "radius_mm", seed=0, batch=32), 6), splits.test)
    assert np.corrcoef(answer.target, answer.prediction)[0, 1] > .7
    assert 2 < answer.prediction.mean() < 8


def test_a_mask_is_learned(splits):
    learn = quiet(learner(splits, "disc", seed=0, batch=16), 6)
    drawn = segment(learn, splits.test)
    truth = splits.test.truth_tensor("disc")
    assert np.mean([dice(t, p) for t, p in zip(truth, drawn)]) > .5


def test_volumes(splits):
    deep = SimpleNamespace(train=discs(32, 1, deep=4), valid=None)
    assert np.isfinite(predictions(quiet(learner(deep, "grade", seed=0), 1), deep.train).prediction).all()
    assert segment(quiet(learner(deep, "disc", seed=0), 1), deep.train).shape == (32, 4, 24, 24)


def test_normalisation_comes_from_training_images_only(splits):
    bright = SimpleNamespace(train=splits.train, valid=Cohort(splits.valid.table, splits.valid.tensor() + 100, simulated=True))
    assert torch.allclose(learner(bright, "grade", seed=0).model.mean, splits.train.tensor().mean((0, 2, 3)))


def test_a_mask_moves_with_its_image():
    mask = torch.zeros(16, 32, 32)
    mask[:, 8:20, 10:15] = 1
    images, masks = Augment(rotate=20, scale=.2, shift=.1, contrast=0, flip=.5, spatial=1)(mask[:, None], mask.long(), torch.Generator().manual_seed(0))
    assert not torch.equal(masks, mask.long())
    assert np.mean([dice(i > .5, m) for i, m in zip(images[:, 0], masks)]) > .93


def test_left_and_right_are_kept_by_default():
    half = torch.zeros(64, 1, 32, 32)
    half[..., :16] = 1
    images, _ = Augment()(half, torch.zeros(64), torch.Generator().manual_seed(0))
    assert (images[..., :8].mean((1, 2, 3)) > images[..., -8:].mean((1, 2, 3))).all()


def test_mirrored_rows_come_back_the_right_way(splits):
    learn = learner(splits, "disc", seed=0, batch=16, mirror={"side": "L"})
    left = splits.train.table["side"].eq("L").to_numpy()
    seen = learn.dls.train.images
    assert torch.equal(seen[left], splits.train.tensor()[left].flip(-1)) and torch.equal(seen[~left], splits.train.tensor()[~left])
    drawn = segment(quiet(learn, 6), splits.test)
    assert np.nanmean([dice(t, p) for t, p in zip(splits.test.truth_tensor("disc"), drawn)]) > .4


def test_every_image_comes_once_an_epoch():
    rows = torch.cat([y for _, y in Batches(torch.rand(30, 1, 4, 4), torch.arange(30), 10, shuffle=True, seed=1)])
    assert sorted(rows.tolist()) == list(range(30)) and rows.tolist() != list(range(30))


def test_errors_say_what_to_do(splits):
    with pytest.raises(KeyError, match="neither a column"): learner(splits, "nothing")
    table = splits.train.table.assign(grade=splits.train.table["radius_mm"].where(splits.train.table.index > 2))
    with pytest.raises(ValueError, match="3 of 128 images have no grade"):
        learner(SimpleNamespace(train=Cohort(table, splits.train.tensor(), simulated=True), valid=None), "grade", task="regress")
    learn = learner(splits, "disc")
    with pytest.raises(ValueError, match="segment"): predictions(learn, splits.test)


def test_settings_of_the_caller_are_not_changed(splits):
    mine = Augment()
    learner(splits, "disc", task="segment", augment=mine)
    assert mine == Augment()


def test_looking_for_a_rate_leaves_the_weights_as_they_were(splits):
    learn = learner(splits, "grade", seed=0, batch=8)
    before = {k: v.detach().clone() for k, v in learn.model.state_dict().items()}
    with learn.no_bar(), learn.no_logging(): learn.lr_find(start_lr=1e-3, end_lr=1, num_it=12, show_plot=False)
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    after = list(learn.model.parameters())
    assert not any(torch.equal(p, before[k]) for k, p in learn.model.named_parameters()) and all(torch.equal(p, q) for p, q in zip(after, learn.averaged.average)), "training afterwards still ends with the average"

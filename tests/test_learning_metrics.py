"""Metrics against scikit-learn, and the coverage of the interval."""
import numpy as np
import pytest

from rheumkit.learning.metrics import accuracy, auc, dice, interval, mean_absolute_error, quadratic_kappa, sensitivity, specificity


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed):
    from sklearn import metrics as sk
    rng = np.random.default_rng(seed)
    truth, grade = rng.integers(0, 2, 80), rng.integers(0, 5, 80)
    score, other = truth + rng.normal(size=80).round(1), np.clip(grade + rng.integers(-1, 2, 80), 0, 4)
    assert auc(truth, score) == pytest.approx(sk.roc_auc_score(truth, score))
    assert quadratic_kappa(grade, other) == pytest.approx(sk.cohen_kappa_score(grade, other, weights="quadratic"))
    assert accuracy(grade, other) == pytest.approx(sk.accuracy_score(grade, other))
    assert sensitivity(truth, score > .5) == pytest.approx(sk.recall_score(truth, score > .5))
    assert specificity(truth, score > .5) == pytest.approx(sk.recall_score(truth, score > .5, pos_label=0))
    assert dice(truth, score > .5) == pytest.approx(sk.f1_score(truth, score > .5))
    assert mean_absolute_error(grade, score) == pytest.approx(sk.mean_absolute_error(grade, score))


def test_one_class_only_is_undefined():
    assert np.isnan(auc([1, 1], [.2, .3])) and np.isnan(sensitivity([0, 0], [0, 1])) and np.isnan(dice([0], [0])) and np.isnan(quadratic_kappa([1, 1], [1, 1]))


def test_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    mean = lambda truth, prediction: prediction.mean()
    hits = over_images = 0
    for trial in range(300):
        person = np.repeat(np.arange(60), 2)
        values = np.repeat(rng.normal(0, 1, 60), 2) + rng.normal(0, .3, 120)     # two knees of one person are alike
        e = interval(mean, values, values, person, seed=trial, samples=300)
        hits += e.low <= 0 <= e.high
        e = interval(mean, values, values, np.arange(120), seed=trial, samples=300)
        over_images += e.low <= 0 <= e.high
    assert .90 <= hits / 300 <= .985
    assert over_images / 300 < .90              # what goes wrong when two knees count as two patients


def test_interval_is_repeatable_and_checks_lengths():
    truth, score = np.arange(20) % 2, np.arange(20) / 20
    assert interval(auc, truth, score, np.arange(20), seed=3) == interval(auc, truth, score, np.arange(20), seed=3)
    with pytest.raises(ValueError, match="lengths differ"): interval(auc, truth, score, np.arange(19))

"Joint space widths of drawings whose answer is known, rules that say what is positive, and intervals."
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.routes.classification import is_positive, roc
from rheumkit.routes.detection import agreement, best_threshold, compartment_width, decide, joint_spaces, measure, one_hot, overlaps
from rheumkit.routes.regression import confusion


def band(height, width, top=10, left=6, size=(48, 64)):
    mask = torch.zeros(size)
    mask[top:top + height, left:left + width] = 1
    return mask


@given(height=st.integers(1, 25), width=st.integers(12, 50), row=st.floats(.1, 2), column=st.floats(.5, 2))
@settings(max_examples=40, deadline=None)
def test_a_plain_band_has_its_height_everywhere(height, width, row, column):
    low, mean = compartment_width(band(height, width), (row, column))
    assert low == pytest.approx(height*row, rel=1e-5) and mean == pytest.approx(height*row, rel=1e-5)


@given(top=st.integers(0, 20), left=st.integers(0, 10))
@settings(max_examples=20, deadline=None)
def test_the_place_of_the_band_does_not_matter(top, left):
    assert compartment_width(band(7, 40, top, left), (.5, .5)) == compartment_width(band(7, 40), (.5, .5))


def test_half_a_pixel_counts_half():
    soft = band(4, 40)
    soft[14, 6:46] = .5
    assert compartment_width(soft, (1., 1.))[1] == pytest.approx(4.5)


def test_minimum_is_averaged_over_three_millimetres():
    notch = band(6, 40)
    notch[10:16, 25] = 0                                     # one column of 0.5 mm in a window of 6
    assert compartment_width(notch, (1., .5))[0] == pytest.approx(6*5/6)


def test_a_closed_compartment_is_zero_and_an_image_without_any_a_failure():
    one_closed, nothing = torch.stack([band(4, 40), torch.zeros(48, 64)]), torch.zeros(2, 48, 64)
    table = measure(torch.stack([one_closed, nothing]), (1., 1.), ["medial", "lateral"])
    assert table.medial_min_mm[0] == pytest.approx(4) and table.lateral_min_mm[0] == 0 and table.narrowest_mm[0] == 0
    assert table.loc[1].isna().all()
    assert list(table.columns) == ["medial_min_mm", "medial_mean_mm", "lateral_min_mm", "lateral_mean_mm", "narrowest_mm"]
    assert (measure(nothing[None], (1., 1.), ["medial", "lateral"], sure=True) == 0).all(axis=None)   # bone on bone on both sides, and known to be


def test_the_true_width_of_the_worst_knees_is_least():
    knees = simulate("knee-radiograph", patients=60, seed=1, size=(64, 64), noise=False)
    worst, sound = (knees.where(knees.table.kellgren_lawrence_true == g) for g in (4, 0))
    spaces = joint_spaces(recipe("knee-radiograph").structures)
    widths = [measure(one_hot(c.truth_tensor("structures"), spaces), c.spacing, list(spaces), sure=True).narrowest_mm for c in (worst, sound)]
    assert len(worst) > 3 and widths[0].notna().all() and widths[0].quantile(.9) < widths[1].quantile(.1)


def test_a_threshold_needs_both_kinds_of_patients():
    with pytest.raises(ValueError, match="of 2 that could be measured, 2 have it"): best_threshold([1, 2, math.nan], [True, True, False])


def test_dice_of_known_overlap():
    assert overlaps(band(4, 40)[None], band(4, 40, top=12)[None], {"space": 1}).space[0] == pytest.approx(.5)
    assert math.isnan(overlaps(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), {"space": 1}).space[0])


def test_bias_and_limits_of_agreement():
    rng = np.random.default_rng(0)
    truth = rng.uniform(2, 6, 2000)
    figures = agreement(truth + .3 + rng.normal(0, .2, 2000), truth, np.arange(2000), seed=1)
    assert figures["bias"].value == pytest.approx(.3, abs=.02) and figures["upper_limit"].value == pytest.approx(.3 + 1.96*.2, abs=.03)
    assert figures["bias"].low < figures["bias"].value < figures["bias"].high
    assert figures["bias"].high - figures["bias"].low == pytest.approx(2*1.96*.2/np.sqrt(2000), rel=.15)


def test_failed_measurements_are_left_out_of_the_decision():
    figures = decide([1, np.nan, 5, 6], [True, True, False, False], list("abcd"), threshold=best_threshold([1, np.nan, 5], [True, True, False]))
    assert figures["auc"].value == figures["sensitivity"].value == 1


@pytest.mark.parametrize("values, rule, yes", [
    ([0, 1, 2, 3, 4], ">=2", [2, 3, 4]), ([0, 1, 2, 3, 4], "> 2", [3, 4]), ([0, 1, 2], "<1", [0]), ([0, 1, 2], "<=1", [0, 1]), ([0, 1, 2], "==1", [1]), ([0, 1, 2], "!=0", [1, 2]),
    ([0, 1], "1", [1]), ([0., .5, 2.5], ">=.5", [1, 2]), (["ra", "psa", "oa"], "psa", [1]), (["ra", "psa", "ra"], "!=ra", [1]), (["0", "1"], "=1", [1]), ([True, False], "True", [0]),
    (["stage >2", "no"], "stage >2", [0]),
])
def test_rules_for_positive(values, rule, yes): assert np.flatnonzero(is_positive(values, rule)).tolist() == yes


@pytest.mark.parametrize("values, rule, said", [
    ([0, 1], "", "names no value"), ([0, 1], ">=", "names no value"), (["a", "b"], ">1", "not a number"), ([0, 1], ">x", "not a number"), ([0, 1], ">=0", "every image"), ([0, 1], "7", "no image"),
])
def test_a_rule_that_makes_no_sense_says_so(values, rule, said):
    with pytest.raises(ValueError, match=said): is_positive(values, rule)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=4, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_area_under_the_roc_points_is_the_auc(pairs):
    from rheumkit.learning.metrics import auc
    truth, score = np.array([t for t, _ in pairs], int), np.array([s for _, s in pairs])
    if 0 < truth.sum() < len(truth): assert np.trapezoid(*roc(truth, score)[::-1]) == pytest.approx(auc(truth, score), abs=1e-6)


def test_confusion_counts_everybody_once():
    rng = np.random.default_rng(0)
    truth, graded = rng.integers(0, 5, 200), rng.uniform(-.4, 4.4, 200)
    table = confusion(truth, graded)
    assert table.sum() == 200 and table.sum(1).tolist() == pd.Series(truth).value_counts().reindex(range(5)).tolist()

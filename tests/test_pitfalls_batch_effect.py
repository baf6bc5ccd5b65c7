"""What the notebook of the batch effect cannot test: planted associations, and the table it shows."""
import numpy as np
import pandas as pd
import pytest
import torch

from rheumkit.core.sweeps import results
from rheumkit.pitfalls.study import outdated
from rheumkit.images.cohort import Cohort
from rheumkit.pitfalls import batch_effect
from rheumkit.pitfalls.study import Study


def knees(patients=120, seed=0, size=32):
    "Noise with a bright spot in the ill."
    rng = torch.Generator().manual_seed(seed)
    ill = np.arange(patients) % 2 == 0
    pixels = torch.randn(patients, 1, size, size, generator=rng)
    pixels[:, :, 10:22, 10:22] += .15*torch.from_numpy(ill).view(-1, 1, 1, 1)
    table = pd.DataFrame({"image_id": [f"I{p}" for p in range(patients)], "patient_id": [f"P{p}" for p in range(patients)], "kl": np.where(ill, 3, 0)})
    return Cohort(table, pixels, name="knees")


@pytest.fixture(scope="module")
def twice():
    c = batch_effect.second_site(knees(), batch_effect.stamp_marker)
    c.table["ill"] = c.table["kl"] >= 2
    return c


@pytest.mark.parametrize("correlation", [-1, -.5, 0, .5, 1])
def test_the_dose_is_the_correlation(twice, correlation):
    cases = batch_effect.one_case(twice, "site")
    chosen = batch_effect.choose(cases, "site", correlation, 40)
    assert len(chosen) == 80 and chosen.table.patient_id.is_unique and chosen.table.ill.mean() == .5
    assert chosen.table.ill.corr(chosen.table.site == "B") == pytest.approx(correlation)


def test_unpaired_patients_serve_at_their_own_site_only():
    c = knees()
    c.table["site"], c.table["ill"] = np.where(np.arange(120) % 4 < 2, "A", "B"), c.table["kl"] >= 2
    assert batch_effect.room(c, "site") == 30
    chosen = batch_effect.choose(batch_effect.one_case(c, "site"), "site", 1, 30)
    assert (chosen.table.ill == (chosen.table.site == "B")).all()
    with pytest.raises(ValueError, match="are needed"): batch_effect.choose(c, "site", 1, 31)


def test_the_letter_and_nothing_else_is_changed():
    c = knees()
    before, after = c.tensor(), batch_effect.stamp_marker(c.tensor())
    assert (before == after)[..., 8:, :].all() and (before == after)[..., 16:].all() and (before != after).any((1, 2, 3)).all()
    assert torch.equal(batch_effect.stamp_marker(before[0]), after[0])


def test_the_other_scanner_treats_every_image_alike_and_keeps_its_shape():
    x = knees().tensor()
    y = batch_effect.other_scanner(x)
    assert y.shape == x.shape and torch.allclose(batch_effect.other_scanner(x[3]), y[3], atol=1e-5)


def test_check_finds_the_association_and_passes_balance(twice):
    cases = batch_effect.one_case(twice, "site")
    for correlation, status in ((.8, "problem"), (0, "clear"), (-.8, "problem")):
        chosen = batch_effect.choose(cases, "site", correlation, 50)
        finding = batch_effect.check(Study(chosen, chosen.split(seed=0), "ill"))
        assert finding.status == status, finding
    assert finding.evidence["site from the image (AUC)"] > .9


def test_check_does_not_pass_what_it_cannot_see():
    c = knees()
    assert batch_effect.check(Study(c, c.split(), "kl")).status == "unknown"
    c.table["scanner"] = "the only one"
    assert batch_effect.check(Study(c, c.split(), "kl")).status == "unknown"


def test_chance_associations_are_rarely_called():
    c, called = knees(), 0
    for seed in range(40):
        c.table["scanner"] = np.random.default_rng(seed).choice(["A", "B"], len(c))
        called += batch_effect.association(c.table, "kl", "scanner", seed, shuffles=100)[1] < .05
    assert called <= 6


def test_many_images_of_few_patients_are_not_many_witnesses():
    "Four patients with fifty images each: a perfect association of scanner and grade is what chance does one time in three."
    table = pd.DataFrame({"patient_id": np.repeat(list("abcd"), 50), "grade": np.repeat([0, 0, 1, 1], 50), "scanner": np.repeat(list("AABB"), 50)})
    found, p = batch_effect.association(table, "grade", "scanner")
    assert found == pytest.approx(1) and p > .2


def test_demonstrate_is_the_same_for_the_same_seed_and_the_shortcut_turns_the_external_test_around(twice):
    one = batch_effect.demonstrate(twice, 1, seed=1, epochs=6)
    assert one == batch_effect.demonstrate(twice, 1, seed=1, epochs=6)
    assert one["internal_auc"] > .9 and one["external_auc"] < one["blind_auc"] - .1
    assert one["site_from_image"] > .9


def test_the_kept_table_is_of_the_present_code():
    assert not outdated("batch_effect"), "the code that made the table of batch_effect has changed: run `make results`"


def test_the_kept_table_says_what_the_lesson_says():
    table = results("batch_effect")
    assert {"dose", "seed", "internal_auc", "external_auc", "even_auc", "blind_auc", "site_from_image", "site_from_network", "site_from_blind_network", "training_images", "test_images"} <= set(table)
    assert table.notna().all().all() and table.seed.nunique() >= 5 and set(table.dose) == set(batch_effect.DOSES)
    none, all_ = table[table.dose == 0].set_index("seed"), table[table.dose == 1].set_index("seed")
    assert np.allclose(none.internal_auc, none.external_auc) and np.allclose(none.internal_auc, none.even_auc), "without a dose the three tests are one"
    rise = all_.internal_auc - none.internal_auc
    assert (rise > 0).all() and rise.mean() - 3*rise.sem() > .1, "in every repetition the paper gets better with the dose, on average by more than a tenth"
    assert all_.internal_auc.mean() > .8 and (all_.external_auc < .4).all()
    assert (all_.blind_auc - all_.external_auc).mean() > .2 and none.even_auc.mean() > .58
    assert (table.groupby("dose").internal_auc.mean().diff().dropna() > -.05).all() and (table.groupby("dose").external_auc.mean().diff().dropna() < .05).all()

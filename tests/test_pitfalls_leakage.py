"""What the notebook of leakage cannot test: planted leaks of every kind, and the table it shows."""
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t
from torch.nn import functional as F

from rheumkit.core.sweeps import results
from rheumkit.pitfalls.study import outdated
from rheumkit.images.cohort import Cohort, Splits
from rheumkit.learning.training import fit, learner
from rheumkit.pitfalls import leakage
from rheumkit.pitfalls.study import Study, quietly


def people(patients=48, images=3, seed=0, size=32, kl=True):
    "Images that carry who somebody is (a smooth pattern of their own) and, weakly, how ill they are (a bright spot)."
    rng = torch.Generator().manual_seed(seed)
    own = F.interpolate(torch.randn(patients, 1, 6, 6, generator=rng), (size, size), mode="bicubic")
    grade = torch.arange(patients) % 5
    pixels = own.repeat_interleave(images, 0) + .3*torch.randn(patients*images, 1, size, size, generator=rng)
    pixels[:, :, 12:20, 12:20] += .5*grade.repeat_interleave(images).view(-1, 1, 1, 1)
    table = pd.DataFrame({"image_id": [f"{p}-{k}" for p in range(patients) for k in range(images)], "patient_id": np.repeat([f"P{p}" for p in range(patients)], images)})
    if kl: table["kl"] = np.repeat(grade.numpy(), images)
    return Cohort(table, pixels, name="people")


def test_check_finds_a_split_by_image_and_passes_one_by_patient():
    c = people()
    assert leakage.check(Study(c, c.split(by="image", seed=0), "kl")).status == "problem"
    finding = leakage.check(Study(c, c.split(by="patient", seed=0), "kl"))
    assert finding.status == "clear" and finding


def test_check_finds_one_single_leaked_patient():
    c = people()
    s = c.split(by="patient", seed=0)
    one = s.test.table.index[0]
    leaky = Splits(s.train + s.test.where([one]), s.valid, s.test.where(np.arange(1, len(s.test))))
    assert leakage.check(Study(c, leaky, "kl")).evidence["patients in train and test"] == 1


def test_check_suspects_training_and_validation_that_share_patients():
    c = people()
    s = c.split(by="patient", seed=0)
    assert leakage.check(Study(c, Splits(s.train, s.train, s.test), "kl")).status == "suspect"


def test_check_finds_an_image_that_is_there_twice_under_another_name():
    c = people()
    s = c.split(by="patient", seed=0)
    copy = s.test.where([0])
    copy = Cohort(copy.table.assign(image_id="copy", patient_id="somebody else"), copy.tensor().flip(-1)*1.1 + .05)
    finding = leakage.check(Study(c, Splits(s.train + copy, s.valid, s.test), "kl"))
    assert finding.status == "suspect" and finding.evidence["look-alikes of other patients"] == 1 and "copy" in finding.evidence["most alike"]


def test_a_split_without_test_part_is_not_passed():
    c = people()
    assert leakage.check(Study(c, Splits(c, None, None), "kl")).status == "unknown"


@pytest.mark.parametrize("dose", [0, .5, 1])
def test_the_dose_is_the_share_of_test_patients_in_training(dose):
    splits, newcomers = leakage.plant_leak(people(), dose, seed=3)
    known = set(splits.train.patients)
    assert len(splits.test) == len(splits.test.patients) == len(newcomers) == 16
    assert sum(p in known for p in splits.test.patients) == round(dose*16)
    assert not known & set(newcomers.patients)
    assert not set(splits.train.table.image_id) & set(splits.test.table.image_id)
    assert len(splits.train) == 16*3


def test_nothing_can_leak_where_everybody_has_one_image():
    with pytest.raises(ValueError, match="nothing that could leak"): leakage.plant_leak(people(images=1), 1)


def test_demonstrate_is_the_same_for_the_same_seed_and_memory_shows_on_coins_only_with_a_leak():
    c = people()
    rows = {dose: [leakage.demonstrate(c, dose, seed, epochs=8) for seed in range(3)] for dose in (0, 1)}
    assert leakage.demonstrate(c, 1, 0, epochs=8) == rows[1][0]
    mean = {dose: pd.DataFrame(r).mean() for dose, r in rows.items()}
    assert mean[1]["coin_apparent_auc"] > .8
    assert abs(mean[0]["coin_apparent_auc"] - .5) < .2
    assert abs(mean[1]["coin_honest_auc"] - .5) < .2


def test_coin_control_tells_a_leaky_study_from_an_honest_one():
    c = leakage.with_labels(people(patients=60))
    def make_learner(splits, seed):
        with quietly(learner(splits, "ill", network=leakage.Photographic(1, 32), batch=32, augment=False, seed=seed)) as learn: return fit(learn, 8)
    leaky = leakage.coin_control(Study(c, c.split(by="image", seed=0), "ill", make_learner))
    honest = leakage.coin_control(Study(c, c.split(by="patient", seed=0), "ill", make_learner))
    assert leaky.low > .5 and honest.low < .5


def test_the_kept_table_is_of_the_present_code():
    assert not outdated("leakage"), "the code that made the table of leakage has changed: run `make results`"


def test_the_kept_table_says_what_the_lesson_says():
    table = results("leakage")
    assert {"dose", "seed", "apparent_auc", "honest_auc", "apparent_accuracy", "honest_accuracy", "coin_apparent_auc", "coin_honest_auc", "training_images", "test_patients"} <= set(table)
    assert table.notna().all().all() and table.seed.nunique() >= 5 and set(table.dose) == set(leakage.DOSES)
    assert table.filter(like="auc").stack().between(0, 1).all() and len(table) == table.groupby(["dose", "seed"]).ngroups
    def interval(values, share=.95): return t.interval(share, len(values) - 1, values.mean(), values.sem())
    none, all_ = table[table.dose == 0], table[table.dose == 1]
    low, high = interval(none.coin_apparent_auc, .999)
    assert low <= .5 <= high, "without a leak a coin is a coin"
    low, high = interval(all_.coin_honest_auc, .999)
    assert low <= .5 <= high, "nobody can predict the coin of a newcomer"
    assert interval(all_.coin_apparent_auc)[0] > .6, "with a leak the coin is remembered"
    rise = all_.set_index("seed").coin_apparent_auc - none.set_index("seed").coin_apparent_auc
    assert interval(rise)[0] > .1, "the same test patients, with and without a leak"
    rise = all_.set_index("seed").apparent_auc - none.set_index("seed").apparent_auc
    assert interval(rise)[0] > 0, "the disease looks easier with a leak"

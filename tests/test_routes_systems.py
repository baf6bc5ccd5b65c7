"The trial of the 67 systems: who is examined where, what makes a case, and what the kept table says."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rheumkit.core.sweeps import results, stale
from rheumkit.images.cohort import Cohort
from rheumkit.phantom.recipes import recipe
from rheumkit.phantom.systems import served, simulate_system, systems as listed
from rheumkit.routes import systems
from rheumkit.routes.quantification import across, outliner

OUTLINE, COLUMN, CLINICAL, PLACES, MEASURE = "gca-artery-us-halo", "ra-hand-us-grade", "oa-knee-mri-tkr-prediction", "spa-sij-xray-grade", "ra-hand-us-cartilage"
VISITS, TWO, BOTH, ACROSS = "ra-wrist-mri-treatment", "ra-extremity-mri-prediction", "oa-knee-mri-pain", "ra-wrist-mri-tenosynovitis"


@pytest.fixture
def small(monkeypatch):
    "Every system gets a handful of patients and two passes, so that a trial takes seconds."
    for name, e in systems.efforts.items(): monkeypatch.setitem(systems.efforts, name, replace(e, size=(*e.size[:-2], 32, 32), train=16, test=8, epochs=2))
    monkeypatch.setattr(systems, "effort", lambda name: replace(systems.efforts[served[name].recipe], size=(32, 32) if served[name].size else systems.efforts[served[name].recipe].size))
    forget()
    yield
    forget()


def forget():
    for cached in (systems._looked, systems.answered, systems.sliced, systems.drawn, systems.patients_of, systems.same_images, systems._pictures, systems._found, systems._sixty, systems._pictured, systems.look_of): cached.cache_clear()


def test_every_system_has_an_effort_that_fits_its_recipe_and_names_that_exist():
    for name, s in served.items():
        r, e = recipe(s.recipe), systems.effort(name)
        assert len(e.size) in (len(r.size), 2) and 0 <= e.part[0] < e.part[1] <= 1 and 0 <= e.part[2] < e.part[3] <= 1
        if systems.masks(name): assert all(group for group in systems.labels_of(name))
        if name in systems.auxiliary: assert not systems.masks(name) and systems.auxiliary[name] != s.target and systems.auxiliary[name] in simulate_system(name, patients=2).table, name
    for name, groups in systems.outlined.items():
        r = recipe(served[name].recipe)
        known = r.structures if systems.masks(name) == "structures" else r.lesions
        assert {n for g in groups for n in ([g] if isinstance(g, str) else g)} <= set(known), name


@pytest.mark.parametrize("name", [n for n, s in served.items() if s.pair or s.also] + [COLUMN])
def test_cases_are_of_one_patient_and_of_scanners_that_the_other_part_does_not_have(name):
    parts = []
    for part in ("train", "test"):
        e = systems.effort(name)
        cohort = systems.simulate_system(name, patients=6, scanner=systems.booked(name, part == "test"), seed=part == "test", size=e.size)
        rows, t = systems.cases(cohort.table, name), cohort.table
        assert rows and len({len(r) for r in rows}) == 1
        for r in rows:
            assert len(r) == (2 if served[name].pair or served[name].also else 1) and t.patient_id[list(r)].nunique() == 1
            if served[name].pair == "visits": assert t.visit[list(r)].tolist() == [0, 1] and t.side[list(r)].nunique() == 1
            if served[name].pair == "sides": assert t.side[list(r)].nunique() == 2
            if served[name].also: assert t.groupby(["modality", "body_part"]).ngroups == 2 and t.side[list(r)].nunique() == 1 and (t.modality[r[0]], t.body_part[r[0]]) != (t.modality[r[1]], t.body_part[r[1]])
        parts.append(t)
    assert not set(parts[0].patient_id) & set(parts[1].patient_id)
    for r in (recipe(n) for n in (served[name].recipe, served[name].also) if n):
        train, test = (set(t.scanner[(t.modality == r.modality) & (t.body_part == r.body_part)]) for t in parts)
        assert test == {list(r.scanners)[-1]} and not train & test


def test_the_same_question_of_the_same_images_is_computed_once():
    assert systems.lead("oa-knee-xray-kl-siamese") == systems.lead("oa-knee-xray-kl-regression") == "oa-knee-xray-kl-regression"
    assert systems.lead("ra-hand-xray-erosion-detect") != systems.lead("oa-hand-xray-osteophyte")
    assert systems.lead("oa-knee-mri-tissues") == systems.lead("oa-knee-mri-patellofemoral") == "oa-knee-mri-bone-cartilage"
    assert sorted(systems.in_order()) == sorted(served)


def test_left_limbs_look_like_right_ones_and_contrasts_are_even():
    x = torch.arange(24.).view(1, 2, 3, 4)
    assert torch.equal(systems.as_right(x, "L", "CORONAL"), x.flip(-1)) and torch.equal(systems.as_right(x, "L", "SAGITTAL"), x.flip(1))
    assert torch.equal(systems.as_right(x, "R", "CORONAL"), x) and torch.equal(systems.as_right(x, "L", "DORSAL LONGITUDINAL"), x)
    two = torch.rand(2, 8, 8)*torch.tensor([5., 50.])[:, None, None] + 7
    assert torch.allclose(systems.even(two, "MR").mean((1, 2)), torch.zeros(2), atol=1e-5) and torch.allclose(systems.even(two, "MR").std((1, 2)), torch.ones(2), atol=1e-5)
    echoes = torch.rand(1, 8, 8)*torch.tensor([8., 4., 2.])[:, None, None]
    ratio = lambda e: float(e[0].std()/e[2].std())
    assert ratio(systems.even(echoes, "MR")) == pytest.approx(4, rel=1e-4), "echoes keep their decay"
    assert torch.allclose(systems.even(two*1000, "CT"), two)


def test_scores_reward_what_is_right():
    t = np.array([0, 1, 2, 0, 1, 2])
    assert systems.score("classify")(t, np.eye(3)[t]) == 1 and systems.score("grade")(t, t[:, None].astype(float)) == 1
    assert systems.score("regress")(t, 3.*t[:, None]) == pytest.approx(1) and systems.score("regress")(t, np.ones((6, 1))) == 0
    assert systems.score("classify")(np.array([0, 1]), np.array([[.2, .8], [.9, .1]])) == 0


def test_the_baseline_finds_what_has_its_place_and_its_grey():
    def cohort(seed):
        rng = torch.Generator().manual_seed(seed)
        y = torch.zeros(20, 24, 24, dtype=torch.uint8); y[:, 6:14, 8:18] = 1
        return Cohort(pd.DataFrame({"image_id": [f"{seed}-{i}" for i in range(20)], "patient_id": [f"{seed}-{i}" for i in range(20)], "slice": 0}), torch.randn(20, 1, 24, 24, generator=rng)*.5 + y[:, None], truth={"answer": y})
    one, other = cohort(0), cohort(1)
    assert systems.pooled_dice(systems.counts(other.truth_tensor("answer") > 0, systems.place_and_grey(one, other, [1]))[:, None]) > .9


def test_an_outline_that_nobody_has_does_not_count():
    counted = np.array([[[10., 20.], [0, 0]], [[10., 20.], [0, 0]]])
    assert systems.pooled_dice(counted) == .5 and np.isnan(systems.pooled_dice(counted[:, 1:]))


@pytest.mark.parametrize("name", [OUTLINE, COLUMN, CLINICAL, PLACES])
def test_a_trial_gives_a_whole_row(name, small):
    r = systems.demonstrate(name, seed=3)
    assert r["low"] <= r["difference"] <= r["high"] and r["difference"] == pytest.approx(r["network"] - r["baseline"])
    assert r["route"] == listed().set_index("id").route[name] and r["metric"] and np.isfinite([r["network"], r["baseline"], r["ceiling"]]).all()


def test_a_trial_that_measures_gives_a_whole_row_without_a_ceiling(small):
    r = systems.demonstrate(MEASURE, seed=3)
    assert np.isfinite([r["network"], r["baseline"]]).all() and np.isnan([r["ceiling"], r["limit"]]).all() and r["below"]


def test_a_trial_that_measures_lesions_at_two_visits_gives_a_whole_row(small):
    r = systems.demonstrate(VISITS, seed=3)
    assert r["metric"] == "AUC" and np.isfinite([r["network"], r["baseline"], r["ceiling"]]).all() and r["low"] <= r["difference"] <= r["high"]


def test_a_trial_that_also_outlines_across_gives_a_whole_row(small, monkeypatch):
    shapes = []
    def quick(images, labels, **how):
        shapes.append(tuple(images[0].shape))
        return outliner(images, labels, **{**how, "slices": 60, "epochs": 2})
    monkeypatch.setattr(systems, "outliner", quick)
    monkeypatch.setitem(systems.efforts, "wrist-mri", replace(systems.efforts["wrist-mri"], size=(8, 32, 32), train=8, test=6))
    r = systems.demonstrate(ACROSS, seed=3)
    assert shapes == [(2, 8, 32, 32), (2, 32, round(50/92*32), 32)], "taught along and across"
    assert r["metric"] == "correlation" and np.isfinite([r["network"], r["baseline"], r["ceiling"]]).all() and r["low"] <= r["difference"] <= r["high"]


def test_what_is_outlined_across_is_a_map_of_its_recipe_and_measured_place_by_place():
    for name, what in systems.crosswise.items(): assert all(what in r.maps and set(systems.measured[name]) <= set(r.lesions) for r in systems._recipes(name))
    cohort = systems.simulate_system(ACROSS, patients=1, scanner=systems.booked(ACROSS, False), seed=1, size=(8, 24, 24))
    along = lambda image, probabilities: torch.full((image.shape[1], 2, *image.shape[-2:]), .5)
    def sites(image, probabilities):                                                 # of three places: nothing, a tenth and four tenths of every voxel
        assert image.shape[1:] == (24, round(50/92*24), 24), "the rows are slices now, and as far apart as the columns"
        return torch.tensor([.5, 0., .1, .4])[None, :, None, None].expand(24, 4, *image.shape[-2:])
    alone, both = (systems.measured_in(ACROSS, cohort, {"wrist-mri": along}, s) for s in (None, sites))
    volume = 50*92*92
    for key, numbers in both.items():
        assert numbers[:-3] == pytest.approx(alone[key]) and numbers[-3:] == pytest.approx([0, (.1*volume)**.5, (.4*volume)**.5], rel=1e-4)


def test_across_the_outlines_of_left_limbs_are_turned_with_their_images_and_only_the_taught_are_used(monkeypatch):
    cohort = systems.simulate_system(ACROSS, patients=12, scanner=systems.booked(ACROSS, False), seed=1, size=(8, 24, 24))
    monkeypatch.setattr(systems, "outliner", lambda images, labels, **how: (images, labels))
    left = cohort.table[cohort.table.side == "L"]
    taught = left.patient_id[left.tenosynovitis_true.nlargest(2).index].tolist()
    images, labels = systems.taught_across(ACROSS, cohort, taught, seed=0)
    rows = np.flatnonzero(cohort.table.patient_id.isin(taught))
    assert len(images) == len(labels) == len(rows) == 4 and set(cohort.table.side[rows]) == {"L", "R"}
    for i, image, label in zip(rows, images, labels):
        raw, sheaths = cohort.pixels[i].float(), cohort.truth["sheaths"][i]
        if cohort.table.side[i] == "L": raw, sheaths = raw.flip(-1), sheaths.flip(-1)
        assert torch.allclose(image, across(systems.even(raw, "MR"), cohort.spacings[i])[0], atol=1e-4)
        assert torch.equal(label, across(sheaths[None], cohort.spacings[i], labels=True)[0][0])
        assert label.any() or cohort.table.side[i] == "R"


def test_what_tells_is_not_drowned_by_what_does_not():
    "The strength of a logistic regression is chosen by cross-validation where the parts for it are given: a hundred columns of noise beside one that tells."
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 101)); y = (x[:, 0] + 2*rng.normal(size=900) > 0).astype(int)
    rows = np.arange(300)
    parts = [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)]
    def reached(model): return systems.score("classify")(y[300:], systems.told(model.fit(x[:300], y[:300]), x[300:], "classify"))
    assert reached(systems.linear("classify", parts=parts)) > reached(systems.linear("classify", 1.)) + .01


def test_both_knees_of_a_patient_go_through_one_network(small):
    found = systems.answered(BOTH, 3)
    table, answers = found["tables"][-1], found["network"][-1]
    right, left = (np.flatnonzero(table.side == side) for side in "RL")
    assert len(right) == len(left) > 0 and (table.patient_id.to_numpy()[right] == table.patient_id.to_numpy()[left]).all()
    assert answers.shape[1] == 2 and np.allclose(answers[right], answers[left][:, ::-1], atol=1e-4), "what is said of a knee is the same, whichever of the two is asked about"
    assert np.abs(answers[right, 0] - answers[right, 1]).max() > 1e-3, "and the two knees differ"


def test_what_is_measured_is_known_to_its_recipes():
    for name, wanted in systems.measured.items():
        for r in systems._recipes(name): assert set(wanted) <= {*r.structures, *r.lesions}, name


def test_a_name_may_be_a_structure_or_a_kind_of_lesion():
    r = recipe("wrist-mri")
    structures, lesions = torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(len(r.lesions), 2, 4, 4)
    structures[0] = r.structures.index("lunate") + 1
    lesions[r.lesions.index("oedema"), :, 0] = .05                                # too little
    lesions[r.lesions.index("oedema"), :, 1:3] = .3
    lesions[r.lesions.index("synovitis"), :, 2] = .6                              # more than the oedema at the same place
    cohort = Cohort(pd.DataFrame({"image_id": ["a"], "patient_id": ["a"]}), torch.zeros(1, 2, 2, 4, 4), truth={"structures": structures[None], "lesions": lesions[None]}, name="wrist-mri")
    both = systems.outlined_in(cohort, 0, ("synovitis", "lunate", "oedema"))
    assert both.dtype == torch.uint8 and both[:, :, 0].tolist() == [[2, 3, 1, 2], [0, 3, 1, 0]]
    assert systems.outlined_in(cohort, 0, ("synovitis", "oedema"))[:, :, 0].tolist() == [[0, 2, 1, 0]]*2
    assert systems.outlined_in(cohort, 0, ("lunate",))[:, 0, 0].tolist() == [1, 0]


@pytest.mark.parametrize("name, change", [(VISITS, True), (TWO, False)])
def test_of_a_second_visit_the_change_is_measured_and_of_a_second_examination_all(name, change, monkeypatch):
    flat = name == VISITS
    monkeypatch.setitem(systems.measured, name, ("synovitis", "tenosynovitis", "oedema"))
    cohort = systems.simulate_system(name, patients=2, scanner=systems.booked(name, False), seed=1, size=(24, 24) if flat else (4, 24, 24))
    called = iter(range(1, 100))
    def draw(image, probabilities=False):                                            # every voxel of image k is believed to be k % of each lesion
        return torch.full((*(() if flat else (image.shape[1],)), len(systems.measured[name]) + 1, *image.shape[-2:]), next(called)/100)
    found = systems.measured_in(name, cohort, {r.name: draw for r in systems._recipes(name)})
    rows = systems.cases(cohort.table, name)
    assert set(found) == {tuple(cohort.table.iloc[r[0]][["patient_id", "visit", "side"]]) for r in rows}
    one = next(iter(found.values()))
    size = [float(np.prod([float(s) for s in cohort.spacings[i][-3 + flat:]])*np.prod(cohort.pixels[i].shape[1:])) for i in rows[0]]
    half = len(one)//2 if flat else 2*3 + 4*3                                           # hands have four slices here, feet those of their recipe
    assert one[0] == pytest.approx(.01*size[0], rel=1e-4) and one[half] == pytest.approx(.02*size[1] - .01*size[0]*change, rel=1e-4)


def test_who_knows_the_truth_agrees_better_with_a_reader_than_a_colleague_does():
    for name in ("oa-knee-xray-kl-regression", "spa-sij-xray-class", "ra-handfoot-xray-damage"):
        table = systems.patients_of(name, 5, "test").table
        one, task = systems.with_answer(Cohort(systems.case_table(table, systems.cases(table, name)), np.zeros(len(systems.cases(table, name))), simulated=True), name)
        truth = one.table.answer.to_numpy() if task != "classify" else np.searchsorted(sorted(one.table.answer.unique()), one.table.answer)
        colleague, limit, by = systems.ceiling(name, one.table, task, truth, seed=5)
        assert by == "two readers" and colleague < limit < 1, name


def test_a_line_is_nearer_to_the_truth_than_to_another_line():
    truth = torch.zeros(12, 40, 40, dtype=torch.uint8); truth[:, 10:26, 8:24] = 1
    two, one = systems.outline_ceiling(truth, (.5, .5), [[1]], seed=0)
    assert two < one < 1


def test_a_faster_phantom_is_the_same_phantom_and_another_one_is_not(monkeypatch):
    kept = pd.DataFrame([{"system": COLUMN, "look": " ".join(map(str, systems.look_of(COLUMN)))}])
    assert systems.outdated(kept) == []
    other = tuple(v + (.3 if k == 3 else .001) for k, v in enumerate(systems.look_of(COLUMN)))
    monkeypatch.setattr(systems, "look_of", lambda name: other)
    assert systems.outdated(kept) == [COLUMN]


def test_the_same_seed_gives_the_same_row(small):
    one = systems.demonstrate(OUTLINE, seed=3)
    forget()
    assert repr(one | {"seconds": 0}) == repr(systems.demonstrate(OUTLINE, seed=3) | {"seconds": 0})


def test_the_kept_table_is_of_the_present_code():
    assert not stale("systems"), "the code that made the table of systems has changed: run `rheumkit results systems`"


def test_every_row_of_the_kept_table_is_of_todays_phantom():
    assert systems.outdated(results("systems")) == [], "these systems look otherwise today than when their rows were made: run `rheumkit results systems`"


def test_the_kept_table_has_every_system_and_says_honestly_which_fail():
    table = results("systems")
    assert set(table.system) == set(served)
    assert (table.low <= table.difference).all() and (table.difference <= table.high).all()
    assert (table.beats == (table.low > 0)).all() and (table.below == ~(table.network > table.limit)).all()
    for lead, group in table.groupby("computed_with"): assert lead in set(group.system)
    assert (table.groupby("system").size() == len(systems.SEEDS)).all()
    assert table.seed.unique().tolist() == systems.SEEDS and set(table.metric) == set(systems.metric_names.values())


def test_grades_of_a_timid_model_are_as_frequent_as_the_readers():
    rng = np.random.default_rng(0)
    grades = rng.choice(5, 4000, p=[.4, .25, .15, .15, .05])
    timid = 1.4 + .02*grades + rng.normal(0, .001, 4000)
    assert (systems.as_grades(timid, grades, timid) == grades).mean() > .99
    assert set(systems.as_grades(np.ones(6), np.array([0, 0, 1, 1, 2, 2]), np.ones(3))) == {0}, "who says the same of everybody gives one grade"


def test_a_second_examination_is_cut_as_its_own_recipe_says():
    e = replace(systems.efforts["spine-radiograph-lumbar"], size=(40, 20), part=(0, 1, .25, .75))
    row = pd.Series({"modality": "CT", "side": "", "view": "LATERAL"})
    image = torch.arange(20.).repeat(40, 1)[None]/1000
    assert torch.equal(systems.seen(image, row, e, e.part)[0, 0], image[0, 0, 5:15])
    assert torch.allclose(systems.seen(image, row, e, (0, 1, 0, 1))[0, 0], image[0, 0].view(10, 2).mean(1))


def test_letters_burned_into_a_radiograph_do_not_set_its_contrast():
    film = torch.rand(1, 60, 60)*.4
    burned = film.clone(); burned[:, :4, :8] = 1.
    assert float((systems.even(burned, "DX") - systems.even(film, "DX"))[:, 8:].abs().mean()) < .1


def test_seeds_that_contradict_each_other_make_nothing_sure():
    one = dict(system="x", route="A", recipe="", metric="", ceiling_by="", computed_with="x", shape="", baseline=.5, ceiling=.8, limit=.9, train_images=1, test_images=1, seconds=1)
    row = lambda d, half: one | dict(network=.5 + d, difference=d, low=d - half, high=d + half)
    agree, differ = (systems.over_seeds(pd.DataFrame([row(d, .05) for d in ds])).iloc[0] for ds in ((.2, .2, .2), (.5, .1, 0.)))
    assert agree.difference == pytest.approx(differ.difference) == pytest.approx(.2)
    assert agree.beats and not differ.beats and differ.network_sd == pytest.approx(np.std([.5, .1, 0], ddof=1))
    assert agree.high - agree.low == pytest.approx(.1/3**.5, rel=.001), "three times the patients, the root of three less error"


def test_who_knows_the_grades_knows_who_is_near_the_border_of_a_class():
    "A class that is derived from grades has a limit above what yes or no alone could tell, and above a colleague."
    from rheumkit.learning.metrics import auc
    from rheumkit.routes.systems import case_table, cases, ceiling, patients_of
    table = patients_of("oa-hip-xray-class", 1, "test").table
    table = case_table(table, cases(table, "oa-hip-xray-class"))
    truth = table.hip_osteoarthritis.to_numpy()
    colleague, limit, by = ceiling("oa-hip-xray-class", table, "classify", truth, 1)
    assert by == "two readers" and .5 < colleague < auc(truth == 1, table.hip_osteoarthritis_true.to_numpy(float)) < limit - .02 < 1

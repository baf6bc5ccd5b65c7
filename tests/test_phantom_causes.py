"""The clinical tables come from causal graphs: an arrow changes what lies downstream of it and nothing else, and no recipe draws a column beside its graph."""
import numpy as np
import pytest
import torch

from rheumkit.phantom.causes import Graph, Variable, osteoarthritis, rheumatoid, spondyloarthritis
from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.phantom.registry import where

NAMES = list(where)
GRAPHS = list({recipe(n).causes.name: recipe(n).causes for n in NAMES}.values())


def downstream(graph, name):
    "The variable and all that it pushes, directly or not."
    found = {name}
    for v in graph.variables:
        if found & {*v.parents, *v.only}: found.add(v.name)
    return found


def same(a, b): return a == b or (isinstance(a, float) and np.isnan(a) and np.isnan(b))


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_draws_its_table_from_its_graph(name):
    r = recipe(name); graph = r.causes
    for k in range(20):
        person = r.person(np.random.default_rng([1, k]))
        assert list(person["columns"]) == [v.name for v in graph.variables if not v.hidden and v.name not in ("sex", "age")]
        assert person["columns"].items() <= person["drawn"].items() and person["sex"] == person["drawn"]["sex"] and person["age"] == person["drawn"]["age"]
        assert set(person["drawn"]) == {v.name for v in graph.variables} and person["sex"] in "FM" and 17 < person["age"] < 95


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.name)
def test_an_arrow_changes_only_what_lies_downstream(graph):
    usual = [graph.draw(np.random.default_rng([2, k])) for k in range(150)]
    for arrow, strength in graph.arrows.items():
        if isinstance(strength, str): continue
        effect = arrow.split(" -> ")[1]; after = downstream(graph, effect)
        changed = [graph.draw(np.random.default_rng([2, k]), {arrow: -strength - 3.}) for k in range(150)]
        for a, b in zip(usual, changed): assert all(same(a[v], b[v]) for v in a if v not in after), arrow
        assert any(not same(a[effect], b[effect]) for a, b in zip(usual, changed)), f"{arrow} does nothing"
        again = [graph.draw(np.random.default_rng([2, k]), {arrow: strength}) for k in range(20)]
        assert again == usual[:20], "the strength that is stated changes nothing"


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.name)
def test_giving_a_value_cuts_what_would_have_decided_it(graph):
    for v in graph.variables:
        value = next(iter(v.level)) if v.form == "category" else True if v.form == "yes/no" else 1.
        if v.form == "rule": continue
        usual, given = ([graph.draw(np.random.default_rng([3, k]), c) for k in range(40)] for c in (None, {f"do({v.name})": value}))
        assert all(g[v.name] == value for g in given)
        for a, b in zip(usual, given): assert all(same(a[w], b[w]) for w in a if w not in downstream(graph, v.name))


@pytest.mark.parametrize("name", NAMES)
def test_one_random_number_a_variable_whatever_the_settings(name):
    "Anatomy that has nothing to do with a changed arrow stays as it was: the graph takes as many random numbers as before."
    r = recipe(name); graph = r.causes
    a, b = np.random.default_rng(5), np.random.default_rng(5)
    graph.draw(a); graph.draw(b, {"do(sex)": "F"})
    assert a.bit_generator.state == b.bit_generator.state
    used = {*r.person(np.random.default_rng(0)), *(p for of in graph.seen.values() for p in of)}     # what anatomy and lesions are made from
    free = [(k, s) for k, s in graph.arrows.items() if not isinstance(s, str) and not downstream(graph, k.split(" -> ")[1]) & used]
    assert free or name == "chest-ct"         # there whatever has a strength acts on the picture, too
    if not free: return
    arrow, strength = free[-1]
    one, two = (r.person(np.random.default_rng([6, 1]), c) for c in (None, {arrow: 0. if strength else 3.}))
    for key in set(one) - {"columns", "drawn"}: assert repr(one[key]) == repr(two[key]), key


def test_the_pictures_follow_the_causes():
    usual, painless, heavier = (simulate("knee-radiograph", patients=3, seed=4, size=(48, 48), causes=c) for c in (None, {"burden -> pain_0_10": 0.}, {"do(burden)": 3.}))
    assert torch.equal(usual.pixels[0], painless.pixels[0]) and not usual.table.pain_0_10.equals(painless.table.pain_0_10)
    assert not torch.equal(usual.pixels[0], heavier.pixels[0]) and heavier.table.kellgren_lawrence_true.mean() > usual.table.kellgren_lawrence_true.mean() + 1
    again = simulate("knee-radiograph", patients=3, seed=4, size=(48, 48), causes={"burden -> pain_0_10": 1.6, "age -> burden": .05})
    assert again.table.equals(usual.table)


@pytest.mark.parametrize("name, cause, place", [("wrist-mri", "activity", "university"), ("knee-radiograph", "burden", "North")])
def test_the_sick_are_sent_to_one_centre(name, cause, place):
    lots, sent = (simulate(name, patients=150, seed=6, sides=("R",), causes=c) for c in (None, {f"{cause} -> centre": 4.}))
    assert lots.table.drop(columns=["centre", "scanner"]).equals(sent.table.drop(columns=["centre", "scanner"])), "the same patients, elsewhere"
    def sick(c): return np.array([recipe(name).person(_person(c, p))["drawn"][cause] for p in range(150)])
    def _person(c, p): from rheumkit.phantom.recipes import _stream; return _stream(recipe(name).people, 6, "person", p)
    burden = sick(sent); there = {k: (c.table.centre == place).to_numpy() for k, c in (("lots", lots), ("sent", sent))}
    gap = {k: burden[t].mean() - burden[~t].mean() for k, t in there.items()}
    assert gap["sent"] > gap["lots"] + .5*burden.std() and abs(gap["lots"]) < .4*burden.std()
    assert simulate(name, patients=5, seed=6, sides=("R",), causes={f"{cause} -> centre": 0.}).table.equals(simulate(name, patients=5, seed=6, sides=("R",)).table)


def test_two_examinations_of_one_population_share_their_causes():
    c = {"burden -> pain_0_10": 3., "burden -> centre": 2.}
    a, b = (simulate(n, patients=6, seed=7, causes=c).table.drop_duplicates("patient_id").set_index("patient_id") for n in ("knee-radiograph", "knee-mri"))
    assert (a.body_mass_index == b.body_mass_index).all() and (a.centre == b.centre).all() and (a.treatment == b.treatment).all()


def test_a_system_takes_causes_too():
    table = simulate("ra-wrist-mri-treatment", patients=6, seed=1, causes={"do(treatment)": "active"}).table
    assert set(table.treatment) == {"active"}


@pytest.mark.parametrize("causes, said", [({"pain_0_10 -> burden": 1.}, "burden -> pain_0_10"), ({"burden": 1.}, "age -> burden"), ({"do(luck)": 1.}, "body_mass_index"), ({"do(treatment)": "leeches"}, "joint distraction"),
                                          ({"age -> burden": float("inf")}, "finite"), ({"replacement_years -> knee_replacement_9_years": 1.}, "rule"), ({"luck -> centre": 1.}, "Its variables")])
def test_an_unknown_arrow_names_those_there_are(causes, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")): simulate("knee-radiograph", patients=1, causes=causes)


def test_only_one_thing_decides_where_somebody_is_examined():
    with pytest.raises(ValueError, match="not both"): simulate("knee-radiograph", patients=1, scanner=lambda row: "Alpha DR", causes={"burden -> centre": 1.})


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.name)
def test_the_diagram_shows_every_variable_and_its_words_every_arrow(graph):
    import matplotlib.pyplot as plt
    figure = graph.diagram(); ax, = figure.axes
    boxes = [p for p in ax.patches if type(p).__name__ == "FancyBboxPatch"]; figure.canvas.draw()
    assert len(boxes) == len(graph.variables) + len(graph.seen)
    extents = [b.get_window_extent() for b in boxes]
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i]), "boxes lie on each other"
    for box, extent in zip(boxes, extents):
        text = next(t for t in ax.texts if extent.contains(*ax.transData.transform(t.get_position())) and t.get_fontsize() == 9).get_window_extent()
        assert text.width <= extent.width and text.height <= extent.height, "a name is wider than its box"
    assert figure.get_size_inches()[0] <= 11
    plt.close(figure)
    told = graph.alt()
    for arrow in graph.arrows: assert arrow.replace(" -> ", " to ") in told
    assert len(graph.table()) == len(graph.arrows)


def test_strengths_are_what_they_say():
    "Each form, measured: difference of means, ratio of medians, ratio of odds, ratio of rates."
    def graph(form, level, **more): return Graph("g", (Variable("cause", "yes/no", .5), Variable("effect", form, level, {"cause": .7}, **more)))
    def halves(form, level, **more):
        got = graph(form, level, **more).people(6000, seed=1); return (got.effect[got.cause == c].astype(float) for c in (True, False))
    one, zero = halves("number", 5.); assert abs(one.mean() - zero.mean() - .7) < .1 and abs(zero.mean() - 5) < .1
    one, zero = halves("positive", 5.); assert abs(np.log(one.median()/zero.median()) - .7) < .1 and abs(zero.median() - 5) < .4
    one, zero = halves("yes/no", .3); assert abs(np.log(one.mean()/(1-one.mean())*(1-zero.mean())/zero.mean()) - .7) < .2 and abs(zero.mean() - .3) < .03
    one, zero = halves("time", 10.); assert abs(np.log(zero.mean()/one.mean()) - .7) < .12 and abs(zero.mean() - 10) < .8
    one, zero = halves("count", 4.); assert abs(np.log(one.mean()/zero.mean()) - .7) < .05 and abs(zero.var()/zero.mean() - 1) < .1
    one, zero = halves("share", .3); assert abs(zero.median() - .3) < .03 and one.between(0, 1).all() and one.median() > zero.median()


def test_families_share_their_arrows():
    assert "activity -> pain_0_10" in spondyloarthritis.arrows and "burden -> pain_0_10" in osteoarthritis.arrows and rheumatoid.arrows["activity -> treatment"] == 0
    without_age = osteoarthritis.but("less", without=("treatment", "replacement_years", "knee_replacement_9_years", "knee_replacement_or_censoring_years"))
    assert [v.name for v in without_age.variables] == ["sex", "age", "body_mass_index", "burden", "pain_0_10"]
    with pytest.raises(ValueError, match="does not come before"): osteoarthritis.but("broken", without=("burden",))


@pytest.mark.parametrize("name, score, treatment", [
    ("hand-radiograph", "svdh_total_true", "biologic"), ("foot-radiograph", "svdh_total_true", "biologic"), ("finger-ultrasound", "synovitis_grey_scale_true", "biologic"), ("hand-mri", "ramris_synovitis_true", "biologic"),
    ("temporal-artery-ultrasound", "halo_thickness_mm", "glucocorticoids and tocilizumab"), ("muscle-ultrasound", "heckmatt_true", "glucocorticoids and immunoglobulins"), ("thigh-mri", "oedema_sum_true", "glucocorticoids")])
def test_treatment_changes_what_comes_after_the_first_visit_and_nothing_before(name, score, treatment):
    tables = {what: simulate(name, patients=60, visits=3, seed=9, causes={"do(treatment)": what}).table for what in ("none", treatment)}
    usual = simulate(name, patients=60, visits=3, seed=9).table
    assert treatment in set(usual.treatment) and all((t.treatment == what).all() for what, t in tables.items())
    first, last = ({what: t[t.visit == v].reset_index(drop=True) for what, t in tables.items()} for v in (0, 2))
    assert first["none"].drop(columns="treatment").equals(first[treatment].drop(columns="treatment"))
    assert last[treatment][score].mean() < .95*last["none"][score].mean() and (last[treatment][score] <= last["none"][score] + 1).mean() > .95


def test_glucocorticoids_calm_all_myositis_but_inclusion_body_myositis():
    from rheumkit.phantom import thigh
    def oedema(kind, treatment):
        total = 0.
        for seed in range(8):
            who = thigh.person(np.random.default_rng([seed, 6]))
            who = {**who, "diagnosis": "myositis", "kind": kind, "activity": .7, "columns": {**who["columns"], "diagnosis": "myositis", "treatment": treatment}}
            found = thigh.disease(who, "R", 2, np.random.default_rng(seed))
            total += sum(found["oedema"].values()) + found["fascial_oedema"]
        return total
    for kind in thigh.kinds_of_disease["myositis"]:
        treated, not_treated = oedema(kind, "glucocorticoids"), oedema(kind, "none")
        assert treated == not_treated > 0 if kind == "inclusion body" else 0 < treated < .7*not_treated, kind


def test_a_variable_that_stands_apart_changes_nobody_else():
    from rheumkit.phantom.hand import hand_causes
    without = hand_causes.but("the same", without=("treatment",), seen={})
    for seed in range(20):
        rngs = [np.random.default_rng([seed, 3]) for _ in range(2)]
        one, other = hand_causes.draw(rngs[0]), without.draw(rngs[1])
        assert {k: v for k, v in one.items() if k != "treatment"} == other and rngs[0].random() == rngs[1].random()
    many = [hand_causes.draw(np.random.default_rng([s, 4])) for s in range(600)]
    treated = {t: np.mean([p["activity"] for p in many if p["treatment"] == t and p["diagnosis"] == "rheumatoid arthritis"]) for t in ("none", "methotrexate", "biologic")}
    assert treated["none"] < treated["methotrexate"] < treated["biologic"] and {p["treatment"] for p in many if p["diagnosis"] == "healthy"} == {"none"}

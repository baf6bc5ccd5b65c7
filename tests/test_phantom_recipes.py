"""Who is who: populations, ids, centres, readers and cases of simulated cohorts."""
import zlib
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from rheumkit.phantom.body import without
from rheumkit.phantom.readers import Reader
from rheumkit.phantom.recipes import readings, recipe, simulate
from rheumkit.phantom.registry import where
from rheumkit.phantom.shapes import Severity, summed
from rheumkit.phantom.systems import served, simulate_system, systems

PAIRED = [("knee-radiograph", "knee-mri"), ("knee-radiograph", "knee-mri-t2"), ("hand-radiograph", "foot-radiograph"), ("spine-radiograph-lumbar", "spine-radiograph-cervical"), ("hand-mri-arthralgia", "foot-mri")]


def misread(table, score): return table[score].to_numpy() - table[score + "_true"].to_numpy()


def test_reading_errors_of_two_recipes_have_nothing_to_do_with_each_other():
    hands, feet = (simulate(n, patients=150, seed=5).table for n in ("hand-radiograph", "foot-radiograph"))
    for score in ("svdh_total", "svdh_erosion"): assert abs(np.corrcoef(misread(hands, score), misread(feet, score))[0, 1]) < .2, score
    assert abs(np.corrcoef(misread(hands, "svdh_total"), misread(hands, "ratingen"))[0, 1]) < .2


def test_two_readers_of_equal_habits_are_two():
    first, again, second = (simulate("knee-radiograph", patients=150, seed=5, reader=Reader(name=n)).table for n in ("one", "one", "two"))
    assert (first.kellgren_lawrence == again.kellgren_lawrence).all() and (first.kellgren_lawrence != second.kellgren_lawrence).any()
    assert abs(np.corrcoef(misread(first, "kellgren_lawrence"), misread(second, "kellgren_lawrence"))[0, 1]) < .2
    assert not (Reader(name="one").read(np.full(90, 5.), (0, 10, 2.)) == Reader(name="two").read(np.full(90, 5.), (0, 10, 2.))).all()


def test_more_patients_change_no_reading_that_was_there():
    slow = Reader(drift=3., fatigue=2., session=40)
    few, many = (simulate("knee-radiograph", patients=n, seed=2, reader=slow).table.kellgren_lawrence.to_numpy() for n in (30, 90))
    assert (few == many[:60]).all()
    zeros = Reader(drift=3., spread=0., session=40).read(np.zeros(120), (-9, 9, 1.))
    assert zeros[0] == 0 and (zeros[39:] == 3).all(), "the drift of the first session stays"
    tired = Reader(fatigue=4., session=50).read(np.zeros(5000), (-99, 99, 5.)).reshape(-1, 50)
    assert tired[:, -10:].std() > 2*tired[:, :10].std(), "at the end of every session, not of the cohort"
    with pytest.raises(ValueError, match="two images"): Reader(session=1)


def test_a_patient_id_is_one_person_in_all_recipes():
    people = {}
    for name in where:
        table = simulate(name, patients=3, seed=1).table
        assert table.image_id.str.startswith(name + "-S1-").all()
        for who, rows in table.groupby("patient_id"):
            theirs = (recipe(name).people, rows.sex.iloc[0], float(rows.age.iloc[0]))
            assert people.setdefault(who, theirs) == theirs, f"{who} of {name} is somebody else's id"
    assert len({p[0] for p in people.values()}) == len({recipe(n).people for n in where}) < len(where)


@pytest.mark.parametrize("one,two", PAIRED)
def test_paired_recipes_see_one_patient_in_one_centre(one, two):
    a, b = (simulate(n, patients=60, visits=2, seed=4).table for n in (one, two))
    for column in ("patient_id", "case_id", "visit", "side", "centre", "sex", "age"): assert (a[column] == b[column]).all(), column
    assert not set(a.image_id) & set(b.image_id)
    seen = a.drop_duplicates("patient_id").centre.value_counts()
    assert set(seen.index) == {s.centre for s in recipe(one).scanners.values()} and seen.min() > 60/len(seen)/3


def test_persons_depend_on_all_of_their_seed():
    for name in (n for pair in PAIRED for n in pair):
        r = recipe(name)
        a, b = (r.person(np.random.default_rng([seed, 7, 1])) for seed in (1, 2))
        assert a["columns"] != b["columns"], f"{name} forgets part of the seed"


def test_shares_of_scanners_are_kept():
    t = simulate("knee-radiograph", patients=400, seed=3, sides=("R",), scanner={"Alpha DR": 3, "Beta CR": 1}).table
    assert set(t.scanner) == {"Alpha DR", "Beta CR"} and .68 < (t.scanner == "Alpha DR").mean() < .82
    spine = simulate("spine-mri", patients=300, seed=3).table.scanner.value_counts(normalize=True)
    assert len(spine) == 4 and spine.between(.17, .33).all()
    with pytest.raises(ValueError, match="no scanner 'Delta'"): simulate("knee-radiograph", scanner=["Alpha DR", "Delta"])
    with pytest.raises(ValueError, match="sides"): simulate("spine-mri", sides=("L",))


def test_visits_and_sides_of_a_system_are_heard():
    knees = simulate("oa-knee-mri-relaxometry", patients=2, visits=3, sides=("L",)).table
    assert len(knees) == 6 and set(knees.side) == {"L"} and set(knees.visit) == {0, 1, 2}
    treated = simulate("ra-wrist-mri-treatment", patients=2, visits=3, sides=("R",)).table
    assert (treated.groupby("case_id").size() == 3).all() and treated.case_id.nunique() == 2
    with pytest.raises(ValueError, match="both sides"): simulate("oa-knee-mri-pain", patients=2, sides=("R",))


@pytest.mark.parametrize("scanner", [None, "Alpha DR", "Borea 1.5T", ["Alpha DR", "Gamma film"], {"Beta CR": 1, "Alpha DR": 2}])
def test_a_scanner_of_one_of_two_recipes_is_used_there(scanner):
    t = simulate_system("oa-knee-incident-challenge", patients=12, seed=1, scanner=scanner).table
    asked = {scanner} if isinstance(scanner, str) else set(scanner or ())
    for modality, rows in t.groupby("modality"):
        own = asked & set(recipe("knee-mri" if modality == "MR" else "knee-radiograph").scanners)
        assert not own or set(rows.scanner) <= own
    assert (t.groupby("patient_id").centre.nunique() == 1).all()
    with pytest.raises(ValueError, match="Alpha DR.*|Aster"): simulate_system("oa-knee-incident-challenge", patients=2, scanner="Delta")


def test_the_answer_of_a_case_belongs_to_all_its_images():
    for system, s in served.items():
        if not s.also: continue
        t = simulate_system(system, patients=8, seed=2).table
        assert t[s.target].notna().all(), system
    t = simulate_system("oa-knee-incident-challenge", patients=40, seed=2).table
    assert (t.groupby("case_id").modality.apply(set) == {"DX", "MR"}).all() and t.case_id.nunique() == 80
    for column in ("incident_oa_78_months", "pain_0_10", "age"): assert (t.groupby("case_id")[column].nunique() == 1).all(), column
    assert t.incident_oa_78_months.dtype.kind == "i"


def test_the_table_of_systems_cannot_be_spoilt():
    mine = systems()
    mine["id"] = "gone"
    assert "oa-knee-mri-pain" in set(systems().id)


def test_mris_of_knuckles_know_whose_they_are():
    "What is remembered of a person is found by all that is known of him, and not for ever."
    from rheumkit.phantom.finger_mri import _rays, hand_region, person_rays
    p = recipe("hand-mri").person(np.random.default_rng(1))
    rays = person_rays(p, hand_region)
    assert person_rays(dict(p), hand_region) is rays
    longer = person_rays({**p, "bone": {k: 1.2*v for k, v in p["bone"].items()}}, hand_region)
    assert longer[0].head != rays[0].head and person_rays({**p, "grain": p["grain"]+1}, hand_region) is not rays
    assert _rays.cache_info().maxsize


@lru_cache
def between_two(name, patients):
    "Kappa of two usual readers, of every scale on which one person in ten differs from most."
    from rheumkit.learning.metrics import quadratic_kappa
    r, table = recipe(name), simulate(name, patients=patients, seed=1).table
    one, two = (readings(r, table, Reader(name=n), seed=1) for n in ("one", "two"))
    return {score: quadratic_kappa(one[score], two[score]) for score in r.scales if table[score + "_true"].value_counts(normalize=True).iloc[0] < .9}


@pytest.mark.parametrize("name,score,low,high", [
    ("knee-radiograph", "kellgren_lawrence", .75, .9), ("sij-radiograph", "radiographic_sacroiliitis", .39, .7), ("sij-mri", "bone_marrow_oedema", .5, .75), ("sij-mri", "sparcc_oedema", .85, .95),
    ("sij-mri", "erosion", .55, .82), ("sij-mri", "fat_lesion", .65, .82), ("finger-ultrasound", "synovitis_power_doppler", .7, .87), ("finger-ultrasound", "synovitis_eular_omeract", .8, .92),
    ("nailfold-capillaroscopy", "giant_capillaries", .78, .92), ("nailfold-capillaroscopy", "scleroderma_pattern", .6, .85)])
def test_two_usual_readers_agree_as_published(name, score, low, high):
    "Sources: the table of nbs/2_phantom/08_recipes."
    assert low <= between_two(name, 500)[score] <= high


@pytest.mark.parametrize("name", list(where))
def test_no_two_readers_agree_on_everything(name):
    for score, kappa in between_two(name, 300).items(): assert kappa < .985, score


@pytest.mark.parametrize("name", [n for n in where if recipe(n).derived])
def test_what_is_read_fits_together(name):
    "What follows from the readings follows from them, as the truth from the true scores, for any reader and visit; and one error in common is one error."
    r, reader = recipe(name), Reader(name="odd", bias=.7, spread=2.)
    table = simulate(name, patients=60, visits=2, seed=4, reader=reader).table
    scores = list(r.scales)
    assert readings(r, table, reader, [4, zlib.crc32(name.encode())]).equals(table[scores])
    true = table.drop(columns=scores).rename(columns=lambda c: c.removesuffix("_true"))
    for score, rule in r.derived.items():
        assert (np.asarray(rule(table)).astype(int) == table[score]).all() and (table[score] != table[score + "_true"]).any(), score
        assert (np.asarray(rule(true)).astype(float) == table[score + "_true"]).all(), score
        assert table[score].between(*r.scales[score][:2]).all()


def test_what_is_read_in_one_go_errs_together():
    r = recipe("hand-radiograph")
    table = simulate(r.name, patients=200, seed=6).table
    middle = {score: (lambda t: t[t.between(1, r.scales[score][1] - 1)].index)(table[score + "_true"]) for score in r.scales}     # where errors go both ways
    def together(one, other):
        rows = middle[one].intersection(middle[other])
        return np.corrcoef(misread(table.loc[rows], one), misread(table.loc[rows], other))[0, 1]
    sharp, ratingen = ("erosion_mcp2", "erosion_mcp3", "erosion_pip3", "narrowing_mcp2", "narrowing_pip3"), ("ratingen_mcp2", "ratingen_mcp3")
    pairs = [(a, b) for k, a in enumerate(sharp) for b in sharp[k+1:]]
    assert .2 < np.mean([together(*p) for p in pairs]) < .45 and abs(np.mean([together(a, b) for a in sharp for b in ratingen])) < .08


def test_a_scale_that_is_neither_read_nor_derived_is_refused():
    r = recipe("hand-radiograph")
    with pytest.raises(ValueError, match="'ratingen' is neither read .* nor derived"): replace(r, derived={k: v for k, v in r.derived.items() if k != "ratingen"})
    with pytest.raises(ValueError, match="derived names 'sharp', which is no scale"): replace(r, derived={**r.derived, "sharp": summed(("svdh_total",))})
    for common, said in (({"feet": (.2, ("toe",))}, "common, 'feet', names 'toe', which is no scale"), ({"feet": (.2, "toe")}, "names 'toe'"), ({"Sharp": (1.2, ("erosion_mcp2",))}, "share of 1.2"),
                         ({"Sharp": (.2, ("svdh_total",))}, "'svdh_total', which is not read"), ({"a": (.2, ("erosion_mcp2",)), "b": (.3, ("erosion_mcp2",))}, "named a second time")):
        with pytest.raises(ValueError, match=said): replace(r, common=common)
    with pytest.raises(ValueError, match="not read by itself"): Reader().read([1, 2], r.scales["svdh_total"])
    with pytest.raises(ValueError, match="true score of image 1 is missing"): Reader().read([1, np.nan], (0, 4, .5))


def test_readings_that_cannot_be_made_say_why():
    r, table = recipe("hip-mri"), simulate("hip-mri", patients=5, seed=1).table
    assert readings("hip-mri", table, Reader(), 3).equals(readings(r, table, Reader(), 3))
    with pytest.raises(ValueError, match="no 'effusion_true'"): readings(r, table.drop(columns="effusion_true"), Reader())
    broken = replace(r, derived={**r.derived, "hip_oedema": lambda read: read.oedema_femoral*0 + 2})
    with pytest.raises(ValueError, match="derived for 'hip_oedema' is 2 in row 0, outside its scale from 0 to 1"): readings(broken, table, Reader())


def test_nobody_is_surer_than_of_a_healthy_joint():
    "Most hands without any erosion are read as such, most backs without any lesion too; nothing is added to what is ill."
    hands, backs = (simulate(name, patients=300, seed=7).table for name in ("hand-radiograph", "spine-radiograph-lumbar"))
    for table, score, least in ((hands, "svdh_erosion", .6), (backs, "msasss", .8)):
        healthy, ill = table[table[score + "_true"] == 0], table[table[score + "_true"] > table[score + "_true"].quantile(.75)]
        assert len(healthy) > 50 and (healthy[score] == 0).mean() > least and misread(healthy, score).mean() < .8 and abs(misread(ill, score).mean()) < 1, score


def test_a_joint_is_read_as_a_joint_can_be():
    "No bone crosses an open space; what has slipped or is fused is narrow; a bridge has two ends; nobody counts more wide capillaries than capillaries."
    hands = simulate("hand-radiograph", patients=400, seed=8, reader=Reader(spread=1.5)).table
    from rheumkit.phantom.hand import ankylosis_sites, subluxation_sites
    for s in ankylosis_sites: assert (hands[f"narrowing_{s}"][hands[f"ankylosis_{s}"] > 0] == 4).all()
    for s in subluxation_sites: assert (hands[f"narrowing_{s}"] >= hands[f"subluxation_{s}"].map({0: 0, 1: 3, 2: 4})).all()
    assert (hands.ankylosis > 0).any() and (hands.subluxation > 0).any()
    back = simulate("spine-radiograph-lumbar", patients=200, seed=8).table
    for lower, upper in (("t12", "l1"), ("l1", "l2"), ("l2", "l3"), ("l3", "l4"), ("l4", "l5"), ("l5", "s1")): assert ((back[f"msasss_{lower}_lower"] == 3) == (back[f"msasss_{upper}_upper"] == 3)).all()
    nails = simulate("nailfold-capillaroscopy", patients=200, seed=8, reader=Reader(spread=1.5)).table
    assert (nails.capillaries >= nails.giant_capillaries + nails.ramified_capillaries).all()


@pytest.mark.parametrize("name, size", [("hand-radiograph", None), ("wrist-mri", (8, 64, 64))])
def test_a_large_cohort_does_not_fill_the_memory(name, size):
    "What is kept of an image before it is looked at is so little that a hundred thousand fit in 2.5 GB, and nothing of the image stays when it has been looked at."
    import gc
    import tracemalloc

    import torch
    def held(): gc.collect(); return sum(t.untyped_storage().nbytes() for t in gc.get_objects() if type(t) is torch.Tensor)
    cohort = simulate(name, patients=4, seed=1, size=size)
    for i in range(6): cohort.pixels[i]                     # kernels and lattices that are kept, whatever the number of images
    before = held()
    for i in range(8): image = cohort.pixels[i]
    assert held() - before < 3*image.nbytes
    tracemalloc.start()
    many = simulate(name, patients=60, seed=1, size=size)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(many) == 120 and kept/len(many) < 25_000


def with_one(r, found, kind, wrong):
    "Severities as found, with one number of a kind of lesion replaced, at a site where it has sites; and that site."
    limits = r.kinds[kind]
    if limits.sites == (): return {**found, kind: wrong}, ""
    site = limits.sites[-1] if limits.sites else "3"
    return {**found, kind: {**found[kind], site: wrong}}, site


@pytest.mark.parametrize("name", list(where))
def test_impossible_severities_are_refused_before_anything_is_drawn_or_scored(name):
    r = recipe(name); person = r.person(np.random.default_rng([3, 1])); found = r.disease(person, r.sides[0], 0, np.random.default_rng([3, 2]))
    def refused(wrong):
        with pytest.raises(ValueError) as drawn: r.scene(person, r.sides[0], wrong)
        with pytest.raises(ValueError) as named: r.scene(person, r.sides[0], severities=wrong)
        with pytest.raises(ValueError) as scored: r.scores(wrong)
        assert str(drawn.value) == str(scored.value) == str(named.value) and repr(name) in str(drawn.value)
        return str(drawn.value)
    for kind, limits in r.kinds.items():
        for value in (limits.high + .01, 7*limits.high, -3., float("nan"), float("inf"), -float("inf")):
            wrong, site = with_one(r, found, kind, value); message = refused(wrong)
            assert repr(kind) in message and site in message and repr(value) in message and limits.valid in message
        for value in ("much", None, np.zeros(2), 1j): assert repr(kind) in refused(with_one(r, found, kind, value)[0])
        for value in (limits.low, limits.high, int(limits.low), np.float32(limits.high)): r.check(with_one(r, found, kind, value)[0])
        if limits.sites is not None:
            message = refused({**found, kind: {"banana": limits.high}}); assert "'banana'" in message and repr(kind) in message and all(site in message for site in limits.sites)
        if limits.sites: assert limits.sites[0] in refused({**found, kind: .5})
    message = refused({**found, "banana": 1.})
    assert "'banana'" in message and all(kind in message for kind in (*r.kinds, *r.besides))
    assert "Kinds: " in refused(list(found))


@pytest.mark.parametrize("name", list(where))
def test_no_severity_of_a_recipe_of_its_own_is_refused(name):
    r = recipe(name); most = dict.fromkeys(r.kinds, 0.)
    for k in range(100):
        person = r.person(np.random.default_rng([9, k]))
        for side in r.sides:
            for visit in (0, 3):
                found = r.disease(person, side, visit, np.random.default_rng([9, k, ord(side)])); r.check(found); r.check(without(found, r.lesions))
                for kind in r.kinds: most[kind] = max([most[kind], *(found[kind].values() if isinstance(found[kind], dict) else (found[kind],))])
    assert set(found) <= {*r.kinds, *r.besides}
    for kind, limits in r.kinds.items():
        if limits.high != 1: assert most[kind] > .75*limits.high, f"{kind} goes to {most[kind]}: {limits.high} limits nothing"


def test_the_check_belongs_to_the_recipe_and_is_made_once():
    r = recipe("knee-radiograph")
    another = replace(r, name="another knee", severities={**r.severities, "spiking": Severity((), 3., "mm")})
    assert another.scene.__wrapped__ is r.scene.__wrapped__ and another.scores.__wrapped__ is r.scores.__wrapped__
    found = {**r.disease(r.person(np.random.default_rng(1)), "R", 0, np.random.default_rng(2)), "spiking": 2.}
    with pytest.raises(ValueError, match="'knee-radiograph': the severity of 'spiking' is 2.0; it has to be a number from 0 to 1$"): r.scores(found)
    assert another.scores(found)["kellgren_lawrence"] in range(5)
    with pytest.raises(ValueError, match="'another knee'.*is 4.0; .* from 0 to 3 mm"): another.scores({**found, "spiking": 4.})
    plain = replace(r, severities={}, lesions=("narrowing", "osteophyte"), besides=())      # who states nothing: every lesion from 0 to 1, by any sites
    plain.check({"narrowing": .3, "osteophyte": {"here": [.2, {"there": 1.}]}})
    with pytest.raises(ValueError, match="'osteophyte' at 'here 1 there' is 2.0"): plain.check({"osteophyte": {"here": [.2, {"there": 2.}]}})
    with pytest.raises(TypeError): r.scores()

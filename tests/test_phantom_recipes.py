"""Who is who: populations, ids, centres, readers and cases of simulated cohorts."""
import numpy as np
import pytest

from rheumkit.phantom.readers import Reader
from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.phantom.registry import where
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


def between_two(true, scale):
    from rheumkit.learning.metrics import quadratic_kappa
    return quadratic_kappa(*(Reader(name=n).read(true, scale, seed=1) for n in ("one", "two")))


@pytest.mark.parametrize("name,score,low,high", [
    ("knee-radiograph", "kellgren_lawrence", .75, .9), ("sij-radiograph", "radiographic_sacroiliitis", .39, .7), ("sij-mri", "bone_marrow_oedema", .5, .75), ("sij-mri", "sparcc_oedema", .85, .95),
    ("sij-mri", "erosion", .55, .82), ("sij-mri", "fat_lesion", .65, .82), ("finger-ultrasound", "synovitis_power_doppler", .7, .87), ("finger-ultrasound", "synovitis_eular_omeract", .8, .92),
    ("nailfold-capillaroscopy", "giant_capillaries", .78, .92), ("nailfold-capillaroscopy", "scleroderma_pattern", .6, .85)])
def test_two_usual_readers_agree_as_published(name, score, low, high):
    "Sources: the table of nbs/2_phantom/08_recipes."
    table = simulate(name, patients=200, seed=1).table
    assert low <= between_two(table[score + "_true"], recipe(name).scales[score]) <= high


@pytest.mark.parametrize("name", list(where))
def test_no_two_readers_agree_on_everything(name):
    table = simulate(name, patients=100, seed=1).table
    for score, scale in recipe(name).scales.items():
        if table[score + "_true"].nunique() > 1: assert between_two(table[score + "_true"], scale) < .975, score


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

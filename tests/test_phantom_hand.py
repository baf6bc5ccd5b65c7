"The hand phantom: a lesion acts where the truth says, scores follow the lesions, and people stay themselves."
import subprocess
import sys

import numpy as np
import pytest
import torch

from rheumkit.phantom.hand import (
    ankylosis_sites,
    average_person,
    bite_sizes,
    erosion_score,
    erosion_sites,
    hand_disease,
    hand_image,
    hand_person,
    hand_scanners,
    hand_scene,
    hand_scores,
    hand_truth,
    joint_crops,
    joint_grade,
    lesion_boxes,
    lesion_names,
    narrowing_score,
    narrowing_sites,
    osteoarthritis_sites,
    osteopenia_sites,
    osteophyte_score,
    ratingen_score,
    structure_names,
    subluxation_sites,
)
from rheumkit.phantom.recipes import simulate

SITES = [*(("erosion", s) for s in erosion_sites), *(("narrowing", s) for s in narrowing_sites), *(("osteopenia", s) for s in osteopenia_sites[::3]),
         *(("osteophyte", s) for s in osteoarthritis_sites), *(("sclerosis", s) for s in osteoarthritis_sites[::3]), *(("ankylosis", s) for s in ankylosis_sites), *(("subluxation", s) for s in subluxation_sites)]


@pytest.fixture(scope="module")
def someone():
    person = hand_person(np.random.default_rng(5))
    return person, hand_disease(person, "L", 0, np.random.default_rng(6))


@pytest.mark.parametrize("kind,site", SITES)
def test_a_lesion_changes_pixels_only_where_its_truth_map_says(kind, site, someone):
    person, severities = someone
    mild, severe = (hand_scene(person, "L", severities | {kind: severities[kind] | {site: s}}) for s in (.35, .9))
    where = hand_truth(severe)["reach"][lesion_names.index(kind)] > 0
    assert where.float().mean() < .6, "the map says next to nothing"
    scanner = list(hand_scanners.values())[SITES.index((kind, site)) % len(hand_scanners)]
    change = (hand_image(severe, scanner)-hand_image(mild, scanner)).abs()[0]
    assert change[where].max() > .02, f"{kind} of {site} does nothing"
    assert change[~where].max() <= 1.01/(2**scanner.bits-1), f"{kind} of {site} reaches beyond its map"


@pytest.mark.parametrize("kind,site", [("erosion", "mcp2"), ("narrowing", "pip3"), ("osteopenia", "mcp4"), ("osteophyte", "dip3"), ("sclerosis", "dip4"), ("ankylosis", "pip2")])
def test_the_map_of_a_single_lesion_lies_at_its_joint(kind, site):
    person = average_person()
    amount = hand_truth(hand_scene(person, "R", {kind: {site: .8}}))["lesions"]
    assert (amount[[i for i, n in enumerate(lesion_names) if n != kind]] == 0).all()
    rows, columns = torch.nonzero(amount[lesion_names.index(kind)] > 0, as_tuple=True)
    from rheumkit.phantom.hand import joint_centres
    scene = hand_scene(person, "R", {})
    x, y = joint_centres(scene.bones)[site]
    row, column = (y-scene.frame.centre[1])/scene.step[0] + 127.5, (x-scene.frame.centre[0])/scene.step[1] + 95.5
    reach = 24/scene.step[0]
    assert abs(rows.float()-row).max() < reach and abs(columns.float()-column).max() < reach


def test_scores_rise_with_the_lesions_and_reach_both_ends_of_the_scale():
    grid = np.linspace(0, 1, 101)
    for score, most in ((erosion_score, 5), (narrowing_score, 4)):
        steps = [score(s) for s in grid]
        assert steps[0] == 0 and steps[-1] == most and (np.diff(steps) >= 0).all() and set(steps) == set(range(most+1))
    assert (np.diff([bite_sizes(s).sum() for s in grid]) >= 0).all()
    worst = {"erosion": dict.fromkeys(erosion_sites, 1.), "narrowing": dict.fromkeys(narrowing_sites, 1.)}
    assert [hand_scores(worst)[f"svdh_{k}"] for k in ("erosion", "narrowing", "total")] == [80, 60, 140]
    assert [hand_scores({"erosion": {}, "narrowing": {}})[f"svdh_{k}"] for k in ("erosion", "narrowing", "total")] == [0, 0, 0]


def test_the_total_is_the_sum_of_the_sites():
    table = simulate("hand-radiograph", patients=20, seed=3).table
    for kind, sites in (("erosion", erosion_sites), ("narrowing", narrowing_sites)):
        assert (table[[f"{kind}_{s}_true" for s in sites]].sum(axis=1) == table[f"svdh_{kind}_true"]).all()
    assert (table.svdh_total_true == table.svdh_erosion_true + table.svdh_narrowing_true).all()


def test_further_scores_rise_and_reach_both_ends():
    grid = np.linspace(0, 1, 101)
    for score, most in ((ratingen_score, 5), (osteophyte_score, 3), (lambda s: joint_grade(s, s, s), 4)):
        steps = [score(s) for s in grid]
        assert (np.diff(steps) >= 0).all() and set(steps) == set(range(most+1))
    for fixed in (.1, .5, 1.):
        for grades in ([joint_grade(s, fixed, fixed) for s in grid], [joint_grade(fixed, s, fixed) for s in grid], [joint_grade(fixed, fixed, s) for s in grid]):
            assert (np.diff(grades) >= 0).all()
    assert hand_scores({"erosion": dict.fromkeys(erosion_sites, 1.)})["ratingen"] == 70
    worn = {"narrowing": {"mcp2": 1.}}
    assert hand_scores(worn)["ankylosis"] == 1 and hand_scores({**worn, "subluxation": {"mcp2": .5}})["ankylosis"] == 0, "what has slipped is not fused"
    assert narrowing_score(0., subluxation=.5) == 3 and narrowing_score(0., subluxation=1.) == narrowing_score(0., ankylosis=1.) == 4


def test_a_dislocated_joint_takes_the_finger_along_and_nothing_else():
    person = average_person()
    there, here = (hand_truth(hand_scene(person, "R", s)) for s in ({"subluxation": {"mcp3": 1.}}, {}))
    changed = torch.unique(torch.cat([t["structures"][there["structures"] != here["structures"]] for t in (there, here)])).tolist()
    assert {structure_names[i-1] for i in changed if i} <= {"soft tissue", "pp3", "mp3", "dp3", "pp2", "mp2", "dp2", "pp4", "mp4", "dp4", "mc3", "mc4"}
    assert (there["structures"] != here["structures"])[there["reach"][-1] == 0].sum() == 0


def test_diagnosis_decides_what_is_found():
    table = simulate("hand-radiograph", patients=120, seed=5).table
    groups = {d: t for d, t in table.groupby("diagnosis")}
    assert set(groups) == {"healthy", "rheumatoid arthritis", "hand osteoarthritis"}
    for d in ("healthy", "hand osteoarthritis"): assert (groups[d][["svdh_erosion_true", "subluxation_true", "ankylosis_true"]] == 0).all(axis=None)
    assert groups["rheumatoid arthritis"].ratingen_true.mean() > 3 and groups["hand osteoarthritis"].osteophyte_true.mean() > 3*groups["healthy"].osteophyte_true.mean()
    assert groups["healthy"].disease_years.max() == 0
    early = groups["rheumatoid arthritis"]
    assert abs(early.age.mean()-groups["healthy"].age.mean()) < 6, "age tells the diagnosis"


def test_boxes_lie_where_the_lesions_are():
    hands = simulate("hand-radiograph", patients=10, seed=21)
    table = lesion_boxes(hands, ("erosion", "osteophyte"))
    assert set(table.kind) == {"erosion", "osteophyte"}
    for i in (0, 7):
        labels = hands.truth["structures"][i]
        for box in table[table.image_id == hands.table.image_id[i]].itertuples():
            inside = labels[box.row:box.row+box.height, box.column:box.column+box.width]
            assert inside.shape == (box.height, box.width) and (inside > 1).any(), "a box without bone"
    with pytest.raises(ValueError, match="Known kinds"): lesion_boxes(hands, "gout")


def test_a_left_hand_is_the_mirror_image_of_a_right_one():
    person, scanner = hand_person(np.random.default_rng(2)), next(iter(hand_scanners.values()))
    severities = hand_disease(person, "R", 0, np.random.default_rng(3))
    right, left = (hand_scene(person, side, severities) for side in "RL")
    difference = (hand_image(right, scanner).flip(-1)-hand_image(left, scanner)).abs()  # the wide blurs work on a coarser grid that starts at the left
    assert difference.max() < .02 and difference.mean() < .002
    assert torch.equal(hand_truth(right)["structures"].flip(-1), hand_truth(left)["structures"])


def test_sides_and_visits_are_of_one_person_and_damage_only_grows():
    hands = simulate("hand-radiograph", patients=25, visits=3, seed=8)
    table = hands.table.set_index(["patient_id", "side", "visit"])
    assert (table.groupby("patient_id").sex.nunique() == 1).all()
    for score in ("svdh_erosion_true", "svdh_narrowing_true"):
        by_visit = table[score].unstack("visit").to_numpy()
        assert (np.diff(by_visit, axis=1) >= 0).all() and (by_visit[:, 2] > by_visit[:, 0]).any()
    right, left = (table.xs((side, 0), level=("side", "visit")).svdh_total_true for side in "RL")
    assert np.corrcoef(right, left)[0, 1] > .6 and (right != left).any()
    # bones keep their size: the share of each hand's metacarpals in the picture is nearly the same on both sides and at all visits, and differs between people
    metacarpals = [structure_names.index(f"mc{f}")+1 for f in (2, 3, 4)]
    some = hands.where(patient_id=list(hands.patients[:10]), visit=[0, 2])
    area = torch.isin(some.truth_tensor("structures"), torch.tensor(metacarpals, dtype=torch.uint8)).flatten(1).sum(1).double().numpy()
    people = some.table.assign(area=area).groupby("patient_id").area
    assert people.std().mean() < .35*people.mean().std()


def test_joints_lie_where_the_table_says():
    hands = simulate("hand-radiograph", patients=4, seed=4)
    labels, spacing = hands.truth_tensor("structures"), hands.spacing
    for i, row in hands.table.iterrows():
        for joint, ends in {"mcp2": ("mc2", "pp2"), "pip4": ("pp4", "mp4"), "mcp5": ("mc5", "pp5")}.items():
            r, c = round(row[f"{joint}_y_mm"]/spacing[0] + 127.5), round(row[f"{joint}_x_mm"]/spacing[1] + 95.5)
            around = set(labels[i, r-5:r+6, c-5:c+6].unique().tolist())
            assert {structure_names.index(e)+1 for e in ends} <= around, (joint, row.side)


def test_another_process_makes_the_same_pixels():
    code = "from rheumkit.phantom.recipes import simulate; c = simulate('hand-radiograph', patients=2, seed=4); print(float(c.pixels[3].double().sum()), c.table.svdh_total.sum())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    here = simulate("hand-radiograph", patients=2, seed=4)
    assert float(there[0]) == pytest.approx(float(here.pixels[3].double().sum()), abs=1e-6) and int(there[1]) == here.table.svdh_total.sum()


def test_crops_hold_the_joint_and_the_patient():
    hands = simulate("hand-radiograph", patients=3, seed=9)
    joints = joint_crops(hands, ("mcp2", "pip3"), mm=30)
    assert len(joints) == 12 and set(joints.patients) == set(hands.patients)
    row = joints.table.iloc[3]
    whole = hands.table[hands.table.image_id == row.image_id.rsplit("-", 1)[0]].iloc[0]
    assert row.joint == "pip3" and row.side == "L" and row.erosion_true == whole.erosion_pip3_true and row.narrowing == whole.narrowing_pip3

"The foot phantom: the hand's patients on other bones; a lesion acts where the truth says."
import numpy as np
import pytest
import torch

from rheumkit.phantom.foot import foot_disease, foot_erosion_sites, foot_joints, foot_person, foot_scanners, foot_scene, foot_worn_sites
from rheumkit.phantom.hand import hand_image, hand_truth, lesion_boxes, lesion_names
from rheumkit.phantom.recipes import simulate

SITES = [*(("erosion", s) for s in foot_erosion_sites), *(("narrowing", j) for j in foot_joints), *(("osteopenia", j) for j in foot_joints[::2]), *((k, j) for k in ("osteophyte", "sclerosis") for j in foot_worn_sites),
         ("ankylosis", "ip1"), *(("subluxation", j) for j in foot_joints[:5])]


@pytest.fixture(scope="module")
def someone():
    person = foot_person(np.random.default_rng(5))
    return person, foot_disease(person, "L", 0, np.random.default_rng(6))


@pytest.mark.parametrize("kind,site", SITES)
def test_a_lesion_changes_pixels_only_where_its_truth_map_says(kind, site, someone):
    person, severities = someone
    mild, severe = (foot_scene(person, "L", severities | {kind: severities[kind] | {site: s}}) for s in (.35, .9))
    where = hand_truth(severe)["reach"][lesion_names.index(kind)] > 0
    assert where.float().mean() < .6, "the map says next to nothing"
    scanner = list(foot_scanners.values())[SITES.index((kind, site)) % len(foot_scanners)]
    change = (hand_image(severe, scanner)-hand_image(mild, scanner)).abs()[0]
    assert change[where].max() > .01, f"{kind} of {site} does nothing"
    assert change[~where].max() <= 1.01/(2**scanner.bits-1), f"{kind} of {site} reaches beyond its map"


def test_hand_and_foot_are_of_one_person():
    hands, feet = (simulate(n, patients=25, visits=2, seed=7) for n in ("hand-radiograph", "foot-radiograph"))
    for column in ("patient_id", "case_id", "visit", "side", "sex", "age", "diagnosis", "disease_years", "acpa", "crp_mg_l", "centre"):
        assert (hands.table[column] == feet.table[column]).all(), column
    assert not set(hands.table.image_id) & set(feet.table.image_id)
    again = simulate("foot-radiograph", patients=25, visits=2, seed=7, scanner="Alder CR").table
    assert (again.svdh_total_true == feet.table.svdh_total_true).all()
    ill = hands.table.diagnosis == "rheumatoid arthritis"
    assert np.corrcoef(hands.table.svdh_total_true[ill], feet.table.svdh_total_true[ill])[0, 1] > .4
    by_visit = feet.table.set_index(["patient_id", "side", "visit"])[["svdh_erosion_true", "svdh_narrowing_true"]].unstack("visit")
    for score in ("svdh_erosion_true", "svdh_narrowing_true"): assert (by_visit[score][1] >= by_visit[score][0]).all()


def test_joints_boxes_and_pixels():
    feet = simulate("foot-radiograph", patients=6, seed=2)
    image = feet.pixels[0]
    assert image.shape == (1, 256, 160) and torch.isfinite(image).all() and image.std() > .1
    small = simulate("foot-radiograph", patients=1, seed=2, size=(64, 40))
    assert small.pixels[0].shape == (1, 64, 40)
    boxes = lesion_boxes(feet, "erosion")
    assert boxes.joint.str.startswith("mtp").any()
    assert (boxes[["row", "column"]] >= 0).all(axis=None) and ((boxes.row + boxes.height) <= 256).all()

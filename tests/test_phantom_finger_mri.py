"Knuckles and toe joints in the magnet: lesions stay in their maps, patterns follow the diagnosis, hands and feet of one person share their outcome."
import numpy as np
import pytest
import torch

from rheumkit.phantom.finger_mri import (
    finger_lesions,
    finger_scanners,
    foot_mri,
    foot_region,
    hand_mri,
    hand_region,
)
from rheumkit.phantom.recipes import simulate

REGIONS = {"hand-mri": (hand_mri, hand_region), "foot-mri": (foot_mri, foot_region)}


def sites(region):
    return {"synovitis": region.joints, "periarticular": region.joints, "tenosynovitis": region.sheaths, "oedema": region.halves, "erosion": region.halves}


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("kind", finger_lesions)
def test_a_lesion_changes_voxels_only_inside_its_map(name, kind):
    recipe, region = REGIONS[name]
    person = recipe.person(np.random.default_rng(4))
    sick = recipe.disease(person, "L", 0, np.random.default_rng(5))
    for k, site in enumerate((sites(region)[kind][0], sites(region)[kind][-1])):
        scanner = list(finger_scanners.values())[k % len(finger_scanners)]
        most = 4.5 if kind == "tenosynovitis" else .85
        mild, severe = (recipe.scene(person, "L", {**sick, kind: {**sick[kind], site: a*most}}, (8, 60, 60)) for a in (.3, 1.))
        change = (recipe.image(severe, scanner)-recipe.image(mild, scanner)).abs().amax(0)
        where = recipe.truth(severe)["reach"][finger_lesions.index(kind)] > 0
        assert where.float().mean() < .6, "the map says next to nothing"
        assert change[where].max() > .02, f"{kind} of {site} does nothing"
        assert change[~where].max() < 1e-5, f"{kind} of {site} reaches beyond its map"


def test_synovitis_shines_after_gadolinium_and_fluid_does_not():
    person = hand_mri.person(np.random.default_rng(1))
    sick = {**hand_mri.disease(person, "R", 0, np.random.default_rng(1)), **{k: {} for k in finger_lesions}}
    scanner = finger_scanners["university 3 T"]
    calm, ill = (hand_mri.image(hand_mri.scene(person, "R", {**sick, "synovitis": {"mcp3": s}}), scanner) for s in (0., .8))
    gain = (ill-calm)[0]
    assert gain.max() > .5*calm[0].max() and (gain > .1).float().mean() < .05


def test_people_with_arthralgia_are_the_same_in_hand_and_foot():
    hands, feet = (simulate(n, patients=30, seed=3).table for n in ("hand-mri-arthralgia", "foot-mri"))
    for column in ("patient_id", "side", "sex", "age", "acpa", "crp_mg_l", "develops_ra", "months"): assert (hands[column] == feet[column]).all(), column
    assert (feet.months > 0).all() and (feet.months <= 24).all() and feet.develops_ra.any() and not feet.develops_ra.all()
    assert np.corrcoef(hands.inflamed_sites_true, feet.inflamed_sites_true)[0, 1] > .4


def test_the_psoriatic_pattern_differs_between_rays_and_sides():
    table = simulate("hand-mri", patients=150, seed=6).table
    joints = table[[f"synovitis_mcp{f}_true" for f in (2, 3, 4, 5)]]
    table["uneven"] = joints.max(axis=1) - joints.median(axis=1)
    psa = table.diagnosis == "psoriatic arthritis"
    inflamed = joints.max(axis=1) > 0
    assert table.uneven[psa & inflamed].mean() > 1.3*table.uneven[~psa & inflamed].mean()
    right, left = (table[table.side == s].set_index("patient_id") for s in "RL")
    apart = (right.ramris_synovitis_true-left.ramris_synovitis_true).abs()/(right.ramris_synovitis_true+left.ramris_synovitis_true+1)
    assert apart[right.diagnosis == "psoriatic arthritis"].mean() > 1.3*apart[right.diagnosis != "psoriatic arthritis"].mean()


def test_shapes_sides_and_bytes():
    two = simulate("hand-mri", patients=2, seed=2, size=(8, 48, 48))
    again = simulate("hand-mri", patients=2, seed=2, size=(8, 48, 48))
    assert two.pixels[0].shape == (2, 8, 48, 48) and torch.equal(two.pixels[1], again.pixels[1]) and torch.isfinite(two.pixels[1]).all()
    person = foot_mri.person(np.random.default_rng(2))
    sick = foot_mri.disease(person, "R", 0, np.random.default_rng(2))
    flat = foot_mri.scene(person, "R", sick, (96, 96))
    scanner = finger_scanners["clinic 1.5 T"]
    assert foot_mri.image(flat, scanner).shape == (2, 96, 96) and foot_mri.truth(flat)["lesions"].shape == (len(finger_lesions), 96, 96)
    looks = [foot_mri.image(flat, s).mean() for s in finger_scanners.values()]
    assert max(looks) > 1.1*min(looks)

"What is special about the pelvis: locality on every machine, pose, sides, sizes, and grades that rise."
import numpy as np
import pytest
import torch

from rheumkit.phantom.pelvis import hip_radiograph, modified_new_york, sij_radiograph, sij_ray_paths
from rheumkit.phantom.pelvis_mri import hip_mri, sij_mri, sij_quadrants, sij_scores
from rheumkit.phantom.radiograph import blurred

recipes = (hip_radiograph, sij_radiograph, sij_mri, hip_mri)
small = {"hip-radiograph": (64, 64), "sij-radiograph": (60, 80), "sij-mri": (5, 56, 56), "hip-mri": (5, 48, 48)}


def examination(recipe, seed=3, visit=0):
    who = recipe.person(np.random.default_rng(seed))
    return who, recipe.disease(who, recipe.sides[0], visit, np.random.default_rng([seed, 1]))


def full(recipe, kind, severity):
    sites = {"hip-radiograph": {"narrowing": ("superior", "medial"), "acetabular osteophyte": ("superior", "inferior"), "femoral osteophyte": ("superior", "inferior"), "sclerosis": ("superior",), "cyst": ("acetabular", "femoral")},
             "sij-radiograph": {k: ("R", "L") for k in sij_radiograph.lesions},
             "sij-mri": {"oedema": sij_quadrants, "enthesitis": ("R", "L"), **{k: tuple(f"{s} {b}" for s in "RL" for b in ("sacral", "iliac")) for k in ("fat", "sclerosis", "erosion")}},
             "hip-mri": {"oedema": ("femoral", "acetabular")}}[recipe.name].get(kind)
    return {kind: {s: severity for s in sites} if sites else severity}


@pytest.mark.parametrize("recipe", recipes, ids=lambda r: r.name)
def test_lesions_stay_in_their_maps_whatever_the_pose(recipe):
    who, found = examination(recipe); pose = {k: v for k, v in found.items() if k not in recipe.lesions}
    for side in recipe.sides:
        clean = recipe.scene(who, side, pose, small[recipe.name])
        for kind in recipe.lesions:
            ill = recipe.scene(who, side, {**pose, **full(recipe, kind, .7)}, small[recipe.name])
            there = recipe.truth(ill)["reach"][recipe.lesions.index(kind)] > 0
            for scanner in recipe.scanners.values():
                change = (recipe.image(ill, scanner) - recipe.image(clean, scanner)).abs().amax(0)
                assert change[~there].max() < (1/255 if recipe.modality == "DX" else 1e-6), (kind, scanner.name)
                assert change[there].max() > .02, (kind, scanner.name)


@pytest.mark.parametrize("recipe", recipes, ids=lambda r: r.name)
def test_same_seed_same_bytes_and_visits_share_the_anatomy(recipe):
    (who, first), (again, _), (_, later) = examination(recipe), examination(recipe), examination(recipe, visit=1)
    scanner = next(iter(recipe.scanners.values())); size = small[recipe.name]
    pictures = [recipe.image(recipe.scene(w, recipe.sides[0], first, size), scanner, np.random.default_rng(0)) for w in (who, again)]
    assert torch.equal(*pictures) and torch.isfinite(pictures[0]).all() and pictures[0].std() > .02
    assert who["shape"] == again["shape"] and first["pose"] != later["pose"]
    truth = recipe.truth(recipe.scene(who, recipe.sides[0], first, size))
    assert truth["structures"].max() <= len(recipe.structures) and truth["lesions"].shape == (len(recipe.lesions), *size)
    assert truth["structures"].shape == size and len(truth["structures"].unique()) >= 3
    assert set(recipe.scales) <= set(recipe.scores(first))


@pytest.mark.parametrize("recipe", (sij_mri, hip_mri), ids=lambda r: r.name)
def test_a_single_slice(recipe):
    who, found = examination(recipe)
    scene = recipe.scene(who, recipe.sides[0], found, (64, 64))
    assert recipe.image(scene, next(iter(recipe.scanners.values())), np.random.default_rng(0)).shape == (2, 64, 64)
    assert recipe.truth(scene)["lesions"].shape == (len(recipe.lesions), 64, 64)


def test_women_and_men_differ():
    heads = {s: [w["shape"]["head"] for i in range(60) if (w := hip_radiograph.person(np.random.default_rng(i)))["sex"] == s] for s in "FM"}
    assert np.mean(heads["M"]) - np.mean(heads["F"]) > 2


def test_backs_without_the_disease_are_not_blank():
    "Some oedema in the lower ilium only; fat in about half of the young and in more of the others (Ziegeler 2018); no erosion, no enthesitis."
    people = [sij_mri.person(np.random.default_rng([k, 5])) for k in range(600)]
    found = [(who["age"], sij_mri.disease(who, "B", 0, np.random.default_rng([k, 6]))) for k, who in enumerate(people) if not who["axial"]]
    def has(kind, lesions): return {site for site, v in lesions[kind].items() if v > 0}
    assert set.union(*(has("oedema", d) for _, d in found)) == {"R iliac lower", "L iliac lower"}
    assert not any(has(kind, d) for kind in ("erosion", "enthesitis") for _, d in found)
    young, old = ([bool(has("fat", d)) for age, d in found if low <= age < high] for low, high in ((0, 45), (45, 120)))
    assert len(young) > 100 and len(old) > 20 and .4 < np.mean(young) < .62 < np.mean(old), (np.mean(young), np.mean(old), len(old))


def test_grades_rise_with_lesions():
    grades = [modified_new_york(v, v, 0, max(0, 2*v-1)) for v in np.linspace(0, 1, 50)]
    assert grades == sorted(grades) and set(grades) == {0, 1, 2, 3, 4}
    rising = [sij_scores({"oedema": {"R iliac upper": v}})["sparcc_oedema"] for v in np.linspace(0, 1, 50)]
    assert rising == sorted(rising) and rising[0] == 0
    wear = [hip_radiograph.scores({k: {"superior": v} for k in hip_radiograph.lesions if k != "cyst"})["kellgren_lawrence"] for v in np.linspace(0, 1, 50)]
    assert wear == sorted(wear) and wear[-1] == 4


def test_a_fused_sacroiliac_joint_loses_its_margins():
    "What stands out sharply in the ray around the joints is less where bone has grown across, in everybody."
    def edges(bone, where): return float((bone-blurred(bone, 3.))[where].clamp_min(0).square().mean().sqrt())
    for seed in range(6):
        who = sij_radiograph.person(np.random.default_rng(seed))
        open_, fused = (sij_ray_paths(who, "B", v, (120, 160))["bone"] for v in ({}, {"ankylosis": {"R": 1., "L": 1.}}))
        where = (fused-open_).abs() > .3
        assert where.sum() > 1000 and edges(fused, where) < .9*edges(open_, where), seed

"Knee MRI beside the radiograph of the same knee, and beside a real multi-echo series."
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rheumkit.phantom.knee_mri import fitted_t2, knee_mri, knee_mri_t2, plate_map, plates, structures
from rheumkit.phantom.recipes import simulate


def test_three_recipes_examine_the_same_knees():
    "Radiograph, MRI and T2 of one seed share people, disease and case."
    film, mri, t2 = (simulate(name, patients=6, visits=2, seed=11).table.set_index("case_id") for name in ("knee-radiograph", "knee-mri", "knee-mri-t2"))
    assert list(film.index) == list(mri.index) == list(t2.index)
    assert (film.kellgren_lawrence_true == mri.kellgren_lawrence).all() and (film.age == mri.age).all() and (film.body_mass_index == mri.body_mass_index).all()
    for column in ("cartilage_thickness_patella_mm", "knee_pain", "phenotype", "knee_replacement_or_censoring_years"): assert (mri[column] == t2[column]).all()
    assert mri.cartilage_thickness_patella_mm.nunique() > 6


@pytest.mark.parametrize("plate", plates)
def test_loss_is_as_large_as_the_table_says(plate):
    "The share of a plate that is gone is the severity; what is left lies within what was there."
    from rheumkit.phantom.knee_mri import _plate
    who = knee_mri.person(np.random.default_rng(3))
    for loss in (.05, .4, .9):
        healthy, left = plate_map(who, "L", plate, loss)
        assert abs(float(left[_plate].mean()) - (1-loss)) < 1e-3 and (left <= healthy+1e-6).all() and left.min() >= 0


def test_left_and_right_face_the_same_way():
    "The kneecap is on the left of every picture; the fibula comes first in a right knee and last in a left one."
    who = knee_mri.person(np.random.default_rng(5)); s = knee_mri.disease(who, "R", 0, np.random.default_rng(5))
    for side in "RL":
        labels = knee_mri.truth(knee_mri.scene(who, side, s, size=(10, 64, 64)))["structures"]
        patella, fibula = (torch.nonzero(labels == 1+structures.index(n)).float().mean(0) for n in ("patella", "fibula"))
        assert patella[2] < 28 and (fibula[0] < 4) == (side == "R")


def test_one_slice_shows_the_medial_compartment():
    "Two numbers as size give one slice, through the medial plates."
    who = knee_mri.person(np.random.default_rng(6)); s = knee_mri.disease(who, "R", 0, np.random.default_rng(6))
    labels = knee_mri.truth(knee_mri.scene(who, "R", s, size=(128, 128)))["structures"]
    assert labels.shape == (128, 128) and {1+structures.index(n) for n in ("femur medial cartilage", "tibia medial cartilage", "medial meniscus")} <= set(labels.unique().tolist())
    assert 1+structures.index("tibia lateral cartilage") not in labels.unique()


def test_decay_is_like_that_of_a_real_series():
    "T2 of muscle and of marrow, and how dark muscle is beside marrow, as in a real knee at 3 T."
    if not (root := os.environ.get("RHEUMKIT_REAL")): pytest.skip("RHEUMKIT_REAL is not set: no real multi-echo series to compare with")
    from rheumkit.images.dicom import read_series
    real = torch.as_tensor(np.asarray(read_series(Path(root)/"knee_mese").pixels))[:, 17]
    times = tuple(6.3125*k for k in range(1, 9))
    boxes = {"muscle": (slice(184, 208), slice(176, 200)), "marrow": (slice(104, 128), slice(120, 152))}
    found = {k: (float(fitted_t2(real[:, r, c], times).median()), float(real[0, r, c].median())) for k, (r, c) in boxes.items()}
    who = knee_mri_t2.person(np.random.default_rng(4)); s = knee_mri_t2.disease(who, "R", 0, np.random.default_rng(4))
    scene = knee_mri_t2.scene(who, "R", s); image = knee_mri_t2.image(scene, knee_mri_t2.scanners["Aster 3T"].with_(bias=0.), None); labels = knee_mri_t2.truth(scene)["structures"]
    fit = fitted_t2(image)
    mine = {k: (float(fit[labels == 1+structures.index(n)].median()), float(image[0][labels == 1+structures.index(n)].median())) for k, n in (("muscle", "muscle"), ("marrow", "femur"))}
    print("real", found, "simulated", mine)
    assert .6 < mine["muscle"][0]/found["muscle"][0] < 1.4 and .5 < mine["marrow"][0]/found["marrow"][0] < 1.6
    assert .6 < (mine["muscle"][1]/mine["marrow"][1])/(found["muscle"][1]/found["marrow"][1]) < 1.6

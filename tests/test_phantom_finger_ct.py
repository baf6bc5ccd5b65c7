"""The simulated knuckles in CT: density is measured right on every machine, and the mask alone carries the diagnosis."""
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rheumkit.phantom.ct import calibration, hu_per_mineral
from rheumkit.phantom.finger_ct import disease, finger_scanners, hand_hrpqct, person, scores

def example(index, side="R", size=(10, 80, 90)):
    who = person(np.random.default_rng([5, index]))
    return who, hand_hrpqct.scene(who, side, disease(who, side, 0, np.random.default_rng([6, index])), size=size)

@pytest.mark.parametrize("side", ["R", "L"])
@pytest.mark.parametrize("name", list(finger_scanners))
def test_rods_give_the_line_of_the_machine(name, side):
    machine = finger_scanners[name]
    _, scene = example(1, side, size=(8, 128, 144))
    slope, intercept = calibration(scene, hand_hrpqct.image(scene, machine, np.random.default_rng(0)))
    assert abs(slope*hu_per_mineral(machine.kvp) - 1) < .03
    assert abs(intercept + slope*machine.offset) < 15     # an error of the machine's zero is corrected by the rods

def _outline(mask):
    "What opening and closing change in a mask: spurs and bites, and its size and roughness."
    x = mask.float()[:, None]
    def wide(v): return F.max_pool2d(v, 7, 1, 3)
    def narrow(v): return -F.max_pool2d(-v, 7, 1, 3)
    spurs, bites = (x-wide(narrow(x))).clamp_min(0).sum((1, 2, 3)), (narrow(wide(x))-x).clamp_min(0).sum((1, 2, 3))
    return [float(v) for v in (spurs.sum(), spurs.max(), bites.sum(), bites.max(), x.sum(), wide(x).sum()/x.sum())]

def test_the_mask_alone_tells_the_three_groups_apart():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import cross_val_predict
    features, diagnosis = [], []
    for i in range(90):
        who, scene = example(i, size=(8, 72, 80))
        labels = hand_hrpqct.truth(scene)["structures"]
        features.append(_outline(labels == 1) + _outline(labels == 2)); diagnosis.append(who["diagnosis"])
    forest = RandomForestClassifier(300, min_samples_leaf=3, random_state=0)
    rng = np.random.default_rng(0)
    right = balanced_accuracy_score(diagnosis, cross_val_predict(forest, features, diagnosis, cv=5))
    chance = balanced_accuracy_score(rng.permutation(diagnosis), cross_val_predict(forest, features, diagnosis, cv=5))
    assert right > .6 > .45 > chance, (right, chance)

def test_erosions_leave_the_mask():
    who = person(np.random.default_rng(2)); none = {"erosion": {}, "new bone": {}, "bone loss": 0.}
    volume = [float(torch.isin(hand_hrpqct.truth(hand_hrpqct.scene(who, "R", {**none, **more}, size=(20, 96, 108)))["structures"], torch.tensor([1, 2])).sum())
              for more in ({"erosion": {"metacarpal 2 radial": 1.}}, {}, {"new bone": {"metacarpal 2 radial": 1.}}, {"bone loss": 1.})]
    assert volume[0] < volume[1] < volume[2]
    assert volume[3] == volume[1]                       # less bone inside does not show in the outline
    assert scores({**none, "bone loss": 1.})["bmd_total_mg_cm3"] < .8*scores(none)["bmd_total_mg_cm3"]

"""The simulated chest: lung disease has the extent that it claims, and lies where it belongs."""
import numpy as np
import pytest

from rheumkit.phantom.chest import chest_ct, lesions, person, scores
from rheumkit.phantom.ct import hounsfield

NONE = {**{k: {} for k in lesions[:3]}, "oesophagus": 0.}

@pytest.mark.parametrize("claimed", [.15, .5])
def test_ground_glass_fills_what_it_claims(claimed):
    who = person(np.random.default_rng(4))
    scenes = [chest_ct.scene(who, "U", {**NONE, "ground glass": {"right": f, "left": f}}) for f in (0., claimed)]
    clean, ill = (chest_ct.image(s, next(iter(chest_ct.scanners.values())))[0] for s in scenes)
    labels = chest_ct.truth(scenes[0])["structures"]; lung = (labels > 0) & (labels < 6)
    share = float(((ill-clean)[lung] > 60).float().mean())
    assert abs(share-claimed) < .12, share
    z = np.arange(16)[:, None, None]
    height = lambda where: float((where.numpy()*z).sum()/where.numpy().sum())
    assert height(lung & (ill-clean > 60)) > height(lung) + 1          # nearer to the base

def test_lungs_are_lungs_and_air_is_air():
    who = person(np.random.default_rng(7)); scene = chest_ct.scene(who, "U", NONE)
    image, labels = chest_ct.image(scene, next(iter(chest_ct.scanners.values())))[0], chest_ct.truth(scene)["structures"]
    assert -900 < float(image[(labels > 0) & (labels < 6)].median()) < -760 and float(image[:, :3, :3].max()) < -990
    assert abs(float(image[labels == 6].median()) - hounsfield("muscle", 120)) < 12
    volume = float(((labels > 0) & (labels < 6)).sum())*np.prod(chest_ct.spacing((16, 128, 160)))/1e6
    assert 2. < volume < 8.      # litres

def test_function_follows_the_extent():
    values = [scores({**NONE, "ground glass": {"right": f, "left": f}}) for f in np.linspace(0, .8, 9)]
    for column in ("fvc_percent", "dlco_percent"): assert [v[column] for v in values] == sorted((v[column] for v in values), reverse=True)
    assert [v["goh_extensive"] for v in values] == sorted(v["goh_extensive"] for v in values) and values[0]["goh_extensive"] == 0 and values[-1]["goh_extensive"] == 1

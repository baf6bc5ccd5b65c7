"""The simulated wrist MRI: lesions act where the truth says, anatomy belongs to the person, and physics is right."""
import numpy as np
import pytest
import torch

from rheumkit.phantom.mri import tissues
from rheumkit.phantom.recipes import simulate
from rheumkit.phantom.wrist import bones, lesions, scores, sheaths, structures, truth, wrist_mri, wrist_scanners

SIZE = (11, 64, 64)
NONE = {kind: {} for kind in lesions}

@pytest.fixture(scope="module")
def person(): return wrist_mri.person(np.random.default_rng(5))

def rendered(person, side="R", scanner="clinic 1.5 T", noise=None, size=SIZE, **severities):
    scene = wrist_mri.scene(person, side, {**NONE, **severities}, size=size)
    return wrist_mri.image(scene, wrist_scanners[scanner], noise), wrist_mri.truth(scene)

@pytest.mark.parametrize("scanner", list(wrist_scanners))
@pytest.mark.parametrize("kind, site, low, high", [
    ("oedema", "lunate", .2, .7), ("oedema", "radius", 0, .5), ("oedema", "metacarpal 2", 0, 1), ("synovitis", "radiocarpal", .1, .8), ("synovitis", "intercarpal", 0, .5),
    ("synovitis", "distal radioulnar", 0, 1), ("tenosynovitis", "extensor IV", 0, 3), ("tenosynovitis", "ulnar bursa", 1, 5), ("erosion", "scaphoid", 0, .3)])
def test_a_lesion_acts_where_the_truth_says_and_only_there(person, kind, site, low, high, scanner):
    (less, before), (more, after) = (rendered(person, "L", scanner, **{kind: {site: v} if v else {}}) for v in (low, high))
    there, lesion = (after[part][lesions.index(kind)] > 0 for part in ("reach", "lesions"))     # of the severer state
    change = (more-less).abs().amax(0)
    assert change[~there].max() < 1e-6     # the point spread ends after three pixels, and so does the reach
    assert there[lesion].all() and change[lesion].max() > .1 and change[lesion].sum() > .75*change.sum() and lesion.float().mean() < .12
    others = [i for i in range(len(lesions)) if i != lesions.index(kind)]
    assert after["lesions"][others].sum() == 0
    assert (after["lesions"] - before["lesions"]).min() > -1e-5   # more severe: nowhere less of it

def test_oedema_fills_the_share_of_the_bone_that_it_claims(person):
    size = (22, 96, 96)
    whole = truth(wrist_mri.scene(person, "R", {**NONE, "oedema": {"capitate": 1.}}, size=size))["lesions"][0].sum()
    for fraction in (.2, .5, .8):
        part = truth(wrist_mri.scene(person, "R", {**NONE, "oedema": {"capitate": fraction}}, size=size))["lesions"][0].sum()
        assert abs(float(part/whole) - fraction) < .1

def test_the_map_of_sheaths_says_which_are_inflamed_and_where(person):
    ill = {"extensor I": 3., "extensor VI": 4., "ulnar bursa": 2.}
    right, left = (rendered(person, side, size=(22, 64, 64), tenosynovitis=ill)[1] for side in "RL")
    for said in (right, left):
        assert said["sheaths"].dtype == torch.uint8 and said["sheaths"].shape == said["structures"].shape
        assert set(said["sheaths"].unique().tolist()) == {0, *(sheaths.index(s) + 1 for s in ill)}
        lesion = said["lesions"][lesions.index("tenosynovitis")] >= .2
        bone = (said["structures"] > 0) & (said["structures"] <= len(bones))
        assert (said["sheaths"][lesion & ~bone] > 0).float().mean() > .97, "the lesion lies in an inflamed sheath"
        assert not said["sheaths"][bone].any() and (said["sheaths"] > 0).sum() < 6*lesion.sum(), "and a sheath holds its tendons, but no bone"
    def middle(said, sheath): return (said["sheaths"] == sheaths.index(sheath) + 1).nonzero().float().mean(0)
    for sheath in ill: assert abs(float(middle(right, sheath)[2] + middle(left, sheath)[2]) - 63) < 6, "a left wrist is the mirror of a right one"
    assert middle(right, "ulnar bursa")[0] > middle(right, "extensor VI")[0] + 4, "flexors lie on the palm's side"
    assert middle(right, "extensor VI")[2] > middle(right, "extensor I")[2] + 15
    assert not rendered(person)[1]["sheaths"].any()
    slice_ = wrist_mri.truth(wrist_mri.scene(person, "R", {**NONE, "tenosynovitis": ill}, size=(64, 64)))["sheaths"]
    assert slice_.shape == (64, 64)

def test_sides_and_visits_share_the_anatomy(person):
    right, left = (rendered(person, side)[1]["structures"] for side in "RL")
    volumes = [torch.bincount(m.flatten().long(), minlength=len(structures)+1)[1:len(bones)+1].float() for m in (right, left.flip(-1))]
    assert ((volumes[0]-volumes[1]).abs() <= .1*volumes[0] + 12).all()
    others = [rendered(wrist_mri.person(np.random.default_rng(k)))[1]["structures"] for k in range(6, 12)]
    different = [float((right != m).float().mean()) for m in (left.flip(-1), *others)]
    assert different[0] < .5*np.median(different[1:]), different    # only the fine surface differs from side to side
    bone = lambda side, visit: wrist_mri.disease(person, side, visit, np.random.default_rng(1))
    assert bone("R", 0)["position"] != bone("R", 1)["position"]    # put into the coil anew
    same = [rendered(person, **{**bone("R", v), "position": {}, "oedema": {}, "synovitis": {}, "tenosynovitis": {}, "erosion": {}})[0] for v in (0, 1)]
    assert torch.equal(*same)

def test_scores_rise_with_severity():
    for kind, site, column, most in (("oedema", "lunate", "ramris_oedema", 1.), ("synovitis", "radiocarpal", "ramris_synovitis", 1.), ("tenosynovitis", "extensor VI", "tenosynovitis", 6.), ("erosion", "ulna", "ramris_erosion", 1.)):
        grades = [scores({**NONE, kind: {site: s*most}})[column] for s in np.linspace(0, 1, 12)]
        assert grades[0] == 0 and grades == sorted(grades) and grades[-1] == {"ramris_erosion": 10}.get(column, 3)

def test_kinds_of_inflammation_go_together_and_treatment_helps():
    table = simulate("wrist-mri", patients=300, visits=2, seed=3, sides=("R",)).table
    first = table[table.visit == 0]
    together = first[["ramris_oedema_true", "ramris_synovitis_true", "tenosynovitis_true"]].corr(method="spearman").to_numpy()[np.triu_indices(3, 1)]
    assert (together > .4).all() and (together < .95).all()
    change = table.pivot(index="patient_id", columns="visit", values="ramris_synovitis_true")
    fell = (change[0]-change[1]).groupby(first.set_index("patient_id").treatment).mean()
    assert fell["active"] > fell["placebo"] + .3

def test_the_same_seed_gives_the_same_bytes():
    a, b = (simulate("wrist-mri", patients=2, seed=4, size=(6, 40, 40)) for _ in range(2))
    assert a.table.equals(b.table)
    for i in (3, 0): assert torch.equal(a.pixels[i], b.pixels[i]) and torch.equal(a.truth["lesions"][i], b.truth["lesions"][i])
    c = simulate("wrist-mri", patients=2, seed=5, size=(6, 40, 40))
    assert not torch.equal(a.pixels[0], c.pixels[0])

@pytest.mark.parametrize("scanner", list(wrist_scanners))
def test_contrast_is_physically_right(person, scanner):
    scene = wrist_mri.scene(person, "R", {**NONE, "oedema": {"capitate": 1.}, "synovitis": {"radiocarpal": 1.}}, size=(22, 96, 96))
    image, said = wrist_scanners[scanner].with_(bias=0., gain=(1., 1.)).acquire(scene["layers"], scene["size"], thin=scene["thin"]), wrist_mri.truth(scene)
    marrow = said["structures"] == structures.index("radius")+1
    muscle = said["structures"] == structures.index("muscle")+1
    tendon = said["structures"] == structures.index("flexor tendons")+1
    oedema, synovitis = said["lesions"][0] > .6, said["lesions"][1] > .7
    t1, fluid = ([float(c[m].median()) for m in (marrow, muscle, tendon, oedema, synovitis)] for c in image)
    assert t1[0] > 1.5*t1[1] and t1[0] > 1.5*t1[4] and t1[0] > 1.3*t1[3] and t1[2] < t1[0]/2     # T1: fat in the marrow bright; fluid, muscle and oedema darker
    assert fluid[3] > 2*fluid[0] and fluid[4] > 2*fluid[0] and fluid[4] > fluid[1] > fluid[0]     # fat-suppressed: the reverse
    assert tissues["fluid"].t2[0] > tissues["synovium"].t2[0] > tissues["muscle"].t2[0]

def test_noise_is_rician_in_the_background(person):
    image, _ = rendered(person, noise=np.random.default_rng(0), size=(22, 96, 96))
    clean, _ = rendered(person, size=(22, 96, 96))
    for c, (sigma, gain) in enumerate(zip(wrist_scanners["clinic 1.5 T"].noise, wrist_scanners["clinic 1.5 T"].gain)):
        air = image[c][clean[c] < 1e-4]/gain
        assert len(air) > 10000
        assert abs(float(air.mean())/sigma - np.sqrt(np.pi/2)) < .06 and abs(float(air.std())/sigma - np.sqrt(2-np.pi/2)) < .05

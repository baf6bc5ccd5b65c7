"""Every recipe keeps the promises of the atlas, and every published system gets the kind of images, columns and masks that it asks for."""
import numpy as np
import pytest
import torch

from rheumkit.phantom.body import without
from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.phantom.registry import where
from rheumkit.phantom.systems import Served, served, simulate_system, systems

NAMES = list(where)
SITED = ("knee-radiograph", "hand-radiograph", "wrist-mri", "foot-radiograph")   # these name lesions by site and have tests of their own
LAYERED = [n for n in NAMES if n not in SITED]
SYSTEMS = systems().set_index("id").to_dict("index")


NEVER = {(name, kind) for name in ("foot-mri", "hand-mri-arthralgia") for kind in ("periarticular", "erosion")}    # suspect arthralgia: not yet, or not at all


def half(r): return tuple(n//2 if n > 8 else n for n in r.size)


def severities(r, kinds=None, seed=0, people=60, side=None):
    "A person and severities: of many, the one in whom a kind of lesion (the worst of `kinds`) is most severe."
    found = []
    for k in range(people):
        person = r.person(np.random.default_rng([seed, k]))
        found.append((person, r.disease(person, side or r.sides[0], 0, np.random.default_rng([seed, k, 1]))))
        if kinds is None: return found[0]
    worst = max(found, key=lambda f: max(amount(f[1].get(kind)) for kind in kinds))
    assert max(amount(worst[1].get(kind)) for kind in kinds) > 0, f"{r.name}: none of {people} people has {kinds}"
    return worst


def amount(value): return sum(map(amount, value.values())) if isinstance(value, dict) else abs(float(value or 0))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes_and_another_another(name):
    r = recipe(name)
    a, b, c = (simulate(name, patients=2, seed=s, size=half(r)) for s in (3, 3, 4))
    assert a.table.equals(b.table) and torch.equal(a.pixels[1], b.pixels[1]) and not torch.equal(a.pixels[1], c.pixels[1])
    assert torch.isfinite(a.pixels[1]).all() and a.pixels[1].dtype == torch.float32
    longer = simulate(name, patients=3, seed=3, size=half(r))
    assert torch.equal(a.pixels[0], longer.pixels[0])           # more patients change nothing about the first


@pytest.mark.parametrize("name", NAMES)
def test_images_truth_and_table_fit_together(name):
    r = recipe(name)
    c = simulate(name, patients=2, seed=5, size=half(r))
    x, labels, lesions = c.pixels[0], c.truth["structures"][0], c.truth["lesions"][0]
    assert x.shape[-len(half(r)):] == half(r) and labels.shape == half(r) and lesions.shape == (len(r.lesions), *half(r))
    assert labels.dtype == torch.uint8 and int(labels.max()) <= len(r.structures) and int(labels.max()) > 0
    assert lesions.dtype == torch.float32 and float(lesions.min()) >= 0 and torch.isfinite(lesions).all()
    assert len(c.spacing) == len(half(r)) and min(c.spacing) > 0 and c.simulated
    for score, (low, high, usual) in r.scales.items():
        assert c.table[score].between(low, high).all() and c.table[score + "_true"].notna().all() and (score in r.derived if usual is None else np.min(usual) > 0), score


# Share of the summed change of a noise-free picture that lies on the lesion or within two pixels of it. Rays, voxels and blood are seen where they are: what is left is blur and edge
# enhancement (a flattened condyle is thinner than a pixel, and thin capillaries are mostly blur). Sound is different: a lesion takes or leaves some of the pulse for all that lies beneath,
# so there it is the lesion *and the columns below it* that must hold the change, and the lesion alone nearly half.
PRECISE = {"DX": .95, "CT": .95, "MR": .8, "XC": .8, "US": .4}
BENEATH = .9
MOST = 1/3      # No lesion covers more of a picture than this, but for those that fill their muscle or the fat above it:
HOSTS = {**{("muscle-ultrasound", kind): ("rectus femoris", "vastus intermedius") for kind in ("oedema", "fat replacement")},
         ("muscle-ultrasound", "fascial oedema"): ("subcutaneous fat", "rectus femoris")}


def near(mask, pixels=2):
    flat = mask.float().reshape(-1, 1, *mask.shape[-2:])
    return torch.nn.functional.max_pool2d(flat, 2*pixels+1, 1, pixels).reshape(mask.shape) > 0


def in_turn(r, k):
    "The scanner and the side for a recipe's kth kind of lesion: all are used, none more often than it must."
    return list(r.scanners.values())[k % len(r.scanners)], r.sides[k % len(r.sides)]


def lessened(found, lesion, share):
    "The same severities with a share of one lesion (a kind, or kind_site)."
    if lesion not in found: kind, _, site = lesion.partition("_"); return {**found, kind: {**found[kind], site: share*found[kind][site]}}
    return {**found, lesion: {site: share*v for site, v in found[lesion].items()} if isinstance(found[lesion], dict) else share*found[lesion]}


def nothing_moves_beyond(reach, r, scanner, person, side, found, lesion, severe):
    "While a lesion gets worse, from a quarter and from half of it, pixels change within the reach of the severer one only."
    for share in (.25, .5):
        less = r.image(r.scene(person, side, lessened(found, lesion, share), half(r)), scanner, None)
        change = (severe - less).abs().amax(0); span = float(less.max() - less.min())
        outside = float(change[~reach].max()) if (~reach).any() else 0.
        assert outside <= span/255, f"{lesion} from {share:.0%} to all of it on {scanner.name}, side {side}: {outside:.4g} of {span:.4g} outside its reach"
        assert change[reach].max() > 1e-3*span, f"{lesion} at {share:.0%} looks as all of it"


@pytest.mark.parametrize("name", SITED)
def test_a_lesion_that_gets_worse_changes_pixels_only_where_the_truth_says(name):
    r = recipe(name)
    for k, lesion in enumerate(r.lesions):
        scanner, side = in_turn(r, k); person = r.person(np.random.default_rng([6, k])); found = r.disease(person, side, 0, np.random.default_rng([6, k, 1]))
        kind = lesion if lesion in r.kinds else lesion.partition("_")[0]; limits = r.kinds[kind]
        site = lesion[len(kind)+1:] or (limits.sites and limits.sites[k % len(limits.sites)])
        found = {**found, kind: {**dict.fromkeys(found[kind], 0.), site: limits.high} if site else limits.high}     # nothing at the other sites, so that their reach hides nothing
        scene = r.scene(person, side, found, half(r))
        nothing_moves_beyond(r.truth(scene)["reach"][k] > 0, r, scanner, person, side, found, lesion, r.image(scene, scanner, None))


@pytest.mark.parametrize("name", LAYERED)
def test_a_lesion_changes_pixels_only_where_the_truth_says(name):
    r = recipe(name)
    assert set(r.lesions) <= set(severities(r)[1]), "severities are named as the lesions are"
    for k, kind in enumerate(r.lesions):
        if (name, kind) in NEVER: continue
        scanner, side = in_turn(r, k); person, found = severities(r, [kind], side=side)
        scene, bare = (r.scene(person, side, s, half(r)) for s in (found, without(found, (kind,))))
        with_it, without_it = (r.image(s, scanner, None) for s in (scene, bare))
        truth = r.truth(scene); lesion, reach = truth["lesions"][k], truth["reach"][k] > 0
        change = (with_it - without_it).abs().amax(0)
        span = float(without_it.max() - without_it.min())
        assert (lesion > 0).any() and change[lesion > 0].max() > 1e-3*span, f"{kind} cannot be seen at all"
        outside = float(change[~reach].max()) if (~reach).any() else 0.
        assert outside <= span/255, f"{kind}: {outside:.4g} of {span:.4g} outside its reach"
        nothing_moves_beyond(reach, r, scanner, person, side, found, kind, with_it)
        assert reach[lesion > 0].all(), f"{kind} does not reach all of itself"
        core = near(lesion > .05*lesion.max()); total = float(change.sum())
        on = float(change[core].sum())/total
        assert on >= PRECISE[r.modality], f"{kind}: only {on:.0%} of the change is on it"
        if r.modality == "US":
            below = core.cummax(-2).values
            assert float(change[below].sum()) >= BENEATH*total, f"{kind}: {1-float(change[below].sum())/total:.0%} of the change is neither on it nor beneath"
        covered = float((lesion > 0).float().mean())
        if (name, kind) in HOSTS:
            host = near(torch.isin(truth["structures"], torch.tensor([r.structures.index(s)+1 for s in HOSTS[name, kind]], dtype=torch.uint8)))
            assert float(lesion[host].sum()) > .97*float(lesion.sum()), f"{kind} is not only in {HOSTS[name, kind]}"
        else: assert covered <= MOST, f"{kind} covers {covered:.0%} of the picture"
        if r.modality != "US": assert float(reach.float().mean()) <= 3/4, f"{kind} reaches nearly everywhere"
        gone = r.truth(bare)
        assert not gone["lesions"][k].any() and not gone["reach"][k].any(), f"{kind} is gone, its map is not"


@pytest.mark.parametrize("name", NAMES)
def test_scanners_differ(name):
    r = recipe(name)
    person, found = severities(r)
    scene = r.scene(person, r.sides[0], found, half(r))
    images = [r.image(scene, s, np.random.default_rng(0)).flatten() for s in list(r.scanners.values())[:2]]
    span = float(images[0].max() - images[0].min())
    assert float((images[0] - images[1]).abs().mean()) > .003*span
    assert len({s.centre for s in r.scanners.values()}) >= 2


SITES = {"knee": {"KNEE"}, "thigh": {"THIGH"}, "muscle": {"THIGH"}, "wrist": {"WRIST"}, "hand": {"HAND"}, "hand and foot": {"HAND", "FOOT"}, "hip": {"PELVIS", "HIP"}, "sacroiliac joint": {"PELVIS"}, "temporal artery": {"HEAD"},
         "nailfold": {"FINGER"}, "chest": {"CHEST"}, "spine": {"LSPINE", "CSPINE"}}   # DICOM's body parts


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_every_system_is_served_in_kind(system):
    row, s = SYSTEMS[system], served[system]
    c = simulate_system(system, patients=2, seed=1)
    main = c.table[c.table.modality == recipe(s.recipe).modality]
    assert set(c.table.body_part) <= SITES[row["site"]] and (" and " not in row["site"] or set(c.table.body_part) == SITES[row["site"]])
    wanted = {"radiograph": {"DX"}, "MRI": {"MR"}, "ultrasound": {"US"}, "colour Doppler": {"US"}, "CT": {"CT"}, "capillaroscopy": {"XC"}, "radiograph+MRI": {"DX", "MR"}}[row["modality"]]
    assert set(c.table.modality) == wanted
    if "mask" not in row["input"]: assert c.pixels[0].ndim == (4 if any(k in row["input"] for k in ("volume", "sequence")) else 3), row["input"]
    if "multi-echo" in row["input"]: assert len(c.pixels[0]) >= 4
    if "pair" in row["input"]: assert (c.table.groupby("case_id").size() >= 2).all()
    if "clinical" in row["input"]: assert s.clinical and set(s.clinical) <= set(c.table)
    if "mask" in row["input"]: assert set(c.pixels[0].unique().tolist()) <= {0., 1.}
    if row["modality"] == "capillaroscopy" or row["modality"] == "colour Doppler": assert len(c.pixels[0]) == 3
    for answer in (s.target, *s.further): assert answer in c.truth if answer in ("structures", "lesions") else main[answer].notna().all()


def test_every_target_varies():
    for system, s in served.items():
        answers = [answer for answer in (s.target, *s.further) if answer not in ("structures", "lesions")]
        table = simulate_system(system, patients=60, seed=2).table if answers else None
        for answer in answers:
            values = table[answer].dropna()
            assert values.nunique() > 1, f"{system}: {answer} is {values.iloc[0]} for everybody"


def test_a_sum_of_examinations_asks_for_the_second_one():
    assert Served("spine-radiograph-lumbar", "msasss", also="spine-radiograph-cervical", added=True).added
    with pytest.raises(ValueError, match="spine-radiograph-lumbar.*msasss.*also="): Served("spine-radiograph-lumbar", "msasss", added=True)


def test_an_unknown_system_or_recipe_names_the_choices():
    with pytest.raises(ValueError, match="oa-knee-xray-kl-dense"): simulate_system("oa-knee-xray-kl-densely")
    with pytest.raises(ValueError, match="knee-radiograph"): simulate("knee-xray")

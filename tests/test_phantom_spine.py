"The spine: one patient on two films, names of the public data set, one slice as well as a volume."
import numpy as np
import pytest
import torch

from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.phantom.spine import discs, neighbours, vertebrae


def test_both_films_show_one_patient():
    films = {r: simulate(f"spine-radiograph-{r}", patients=6, visits=2, seed=4) for r in ("lumbar", "cervical")}
    joined = films["lumbar"].table.merge(films["cervical"].table, on="case_id", suffixes=("", "_neck"))
    assert len(joined) == 12
    for column in ("sex", "age", "crp_mg_l", "hla_b27", "msasss_both_films_true"): assert (joined[column] == joined[column + "_neck"]).all(), column
    assert (joined.msasss_both_films_true == joined.msasss_true + joined.msasss_true_neck).all() and joined.msasss_both_films_true.max() > 0
    other = simulate("spine-radiograph-lumbar", patients=6, visits=2, seed=5).table
    assert (other.crp_mg_l.to_numpy() != films["lumbar"].table.crp_mg_l.to_numpy()).any()


@pytest.mark.parametrize("size", [(96, 96), (4, 64, 64)])
def test_slice_and_volume(size):
    r = recipe("spine-mri"); rng = np.random.default_rng
    person = r.person(rng(1)); found = r.disease(person, "U", 0, rng(2))
    scene = r.scene(person, "U", found, size=size)
    image, truth = r.image(scene, r.scanners["Boreas 3T"], rng(3)), r.truth(scene)
    assert image.shape == (2, *size) and truth["structures"].shape == size and truth["lesions"].shape == (len(r.lesions), *size) and torch.isfinite(image).all()


def test_order_from_above_downwards():
    r = recipe("spine-mri"); rng = np.random.default_rng
    for seed in range(3):
        scene = r.scene({**r.person(rng(seed)), "scoliosis": (0., 0., 0.)}, "U", {"pose": {}}, size=(160, 160)); labels = r.truth(scene)["structures"].numpy()
        row = {n: np.argwhere(labels == r.structures.index(n)+1)[:, 0].mean() for n in (*vertebrae, *discs)}
        for disc, (above, below) in neighbours.items():
            assert row[above] < row[disc] and (below == "S1" or row[disc] < row[below])


def test_narrowing_leaves_a_flatter_disc():
    r = recipe("spine-mri"); person = r.person(np.random.default_rng(5)); areas = []
    for s in (0., .5, 1.):
        labels = r.truth(r.scene(person, "U", {"narrowing": {"L45": s}, "pose": {}}, size=(160, 160)))["structures"]
        areas.append(int((labels == r.structures.index("L45")+1).sum()))
    assert areas[0] > areas[1] > areas[2] > 0


def test_corners_lie_at_the_front_of_their_vertebrae():
    for region, first in (("lumbar", "T12 lower"), ("cervical", "C2 lower")):
        r = recipe(f"spine-radiograph-{region}"); rng = np.random.default_rng
        truth = r.truth(r.scene(r.person(rng(3)), "U", {"pose": {}})); corners, labels = truth["corners"], truth["structures"]
        assert corners.shape == (12, 2)
        body = torch.nonzero(labels == r.structures.index(first.split()[0])+1).float()
        assert abs(float(corners[0, 1]-body[:, 1].min())) < 5 and abs(float(corners[0, 0]-body[:, 0].max())) < 7
        assert (corners[1:, 0] > corners[:-1, 0]).all()


@pytest.mark.parametrize("region", ["lumbar", "cervical"])
def test_two_squared_corners_make_the_front_wall_straight(region):
    "Between the corners the wall lies behind a straight line, unless it is squared; one squared corner fills its own half."
    from rheumkit.phantom import spine_radiograph as film
    name = {"lumbar": "L3", "cervical": "C5"}[region]
    person = {**film.person(np.random.default_rng(21)), "spurs": {}, "waist": .13}
    bones = film.column_of(person, region)[0]; b = bones[name]
    def wall(squared):
        "How far the front wall is from the middle plane, mm, from just below the upper to just above the lower corner."
        solid = film.vertebra(person, bones, name, region, lambda kind, site: float(kind == "squaring" and site.split()[1] in squared))
        depths = np.linspace(.3, .6, 1200)*b.depth
        out = []
        for v in np.linspace(-.34, .34, 9)*b.front:
            points = np.array([b.at(-u, v) for u in depths], np.float32)
            inside = solid.distance(*(torch.from_numpy(points[:, k].copy()) for k in range(3))).numpy() < 0
            out.append(depths[inside].max())
        return np.array(out)
    def sag(w): return np.max(np.interp(range(9), (0, 8), (w[0], w[-1])) - w)     # how far behind a straight line
    plain, upper, both = wall(()), wall(("upper",)), wall(("upper", "lower"))
    assert sag(plain) > .3 and sag(both) < .3*sag(plain)
    assert (upper >= plain - 1e-3).all() and upper[2] - plain[2] > .3 and abs(upper[-1] - plain[-1]) < .05

"Regions first, then scores; outlines first, then measures: places, pieces, and what is read inside an outline."
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from rheumkit.phantom.recipes import recipe, simulate
from rheumkit.routes import regions, systems
from rheumkit.routes.quantification import extent, mean_inside, measures, outliner


def test_a_disc_is_found_where_it_was_put_to_a_fraction_of_a_pixel():
    points = torch.tensor([[6.3, 7.7], [15.5, 20.2]])
    p = F.one_hot(regions.discs(points, (24, 30), radius=2.5).long(), 3).movedim(-1, 0)[None].float()
    assert torch.allclose(regions.peaks(p)[0], points, atol=.35)


def test_a_landmark_that_is_not_in_the_picture_is_not_drawn():
    drawn = regions.discs(torch.tensor([[float("nan")]*2, [5., 5.]]), (12, 12))
    assert set(drawn.unique().tolist()) == {0, 2}


def test_what_is_cut_out_is_what_stands_there():
    image = torch.zeros(1, 40, 50); image[0, 10:14, 30:34] = 1
    one, other = regions.cut_out(image, torch.tensor([[11.5, 31.5], [30., 10.]]), side=(8., 8.), pixels=8)
    assert one[0, 2:6, 2:6].eq(1).all() and float(one.sum()) == pytest.approx(16) and float(other.sum()) == 0
    wide = regions.cut_out(image, torch.tensor([[11.5, 31.5]]), side=(16., 8.), pixels=8)[0, 0]
    assert float(wide.sum()) == pytest.approx(8, abs=1), "twice as tall a field in as many pixels"


@pytest.mark.parametrize("name, first, second", [("spine-radiograph-lumbar", "l1_upper", "l4_lower"), ("spine-radiograph-cervical", "c3_upper", "c6_lower")])
def test_corners_lie_on_the_front_edge_of_their_vertebra(name, first, second):
    cohort = simulate(name, patients=3, seed=8)
    for i in range(3):
        found, labels = regions.vertebral_corners(cohort, i), cohort.truth["structures"][i]
        assert found[first][0] < found[second][0]
        for corner in (first, second):
            inside = torch.nonzero(labels == 1 + [n.lower() for n in recipe(name).structures].index(corner[:2]))
            y, x = found[corner]
            assert min((r - y)**2 + (c - x)**2 for r, c in inside.tolist()) <= 2, "on the vertebra"
            assert x < float(inside[:, 1].float().mean()), "in front of its middle"


def test_sacroiliac_joints_are_where_both_bones_overlap():
    cohort = simulate("sij-radiograph", patients=2, seed=1)
    found = regions.sacroiliac_joints(cohort, 0)
    assert found["right"][1] < cohort.pixels[0].shape[-1]/2 < found["left"][1]


def test_a_scorer_finds_and_reads_what_it_was_taught():
    "Pictures with three squares whose brightness is the score, each at a place of its own."
    rng = np.random.default_rng(0)
    n, points, images = 60, [], torch.randn(60, 1, 48, 48)*.1
    grades = rng.integers(0, 4, (n, 3)).astype(float)
    for i in range(n):
        at = np.array([[12, 12], [12, 34], [34, 24]]) + rng.integers(-3, 4, (3, 2))
        for (r, c), g in zip(at, grades[i]): images[i, 0, r-4:r+5, c-4:c+5] += 1 + .7*g
        points.append(at)
    sites = regions.Sites("", None, {"score_": {"a": "one", "b": "two", "c": "three"}}, side_mm=14., coarse=2, epochs=20)
    table = pd.DataFrame(grades, columns=sites.columns())
    table.iloc[0, 0] = np.nan     # not everything was read
    known = regions.Pictures(images, table, (1., 1.)).some(range(48))
    find = regions.finder(known.images, torch.tensor(np.array(points[:48]), dtype=torch.float32), ["one", "two", "three"], seed=1)
    taught = regions.scorer(known, sites, find, seed=1)
    read = taught.scores(images[48:]).to_numpy()
    assert np.corrcoef(read.ravel(), grades[48:].ravel())[0, 1] > .9


def test_every_system_of_places_names_landmarks_and_scores_that_exist():
    for name, parts in systems.regions.items():
        assert parts[0].recipe == systems.served[name].recipe and [s.recipe for s in parts[1:]] == [systems.served[name].also]*(len(parts) - 1)
        for sites in parts:
            cohort = simulate(sites.recipe, patients=1, seed=0)
            known = set(sites.landmarks(cohort, 0))
            for start, where in sites.scores.items():
                assert where and set(where.values()) <= known, (name, start)
                assert all(start + site in cohort.table for site in where)


def test_every_system_of_places_says_what_becomes_of_what_was_read():
    assert set(systems.from_places) == set(systems.regions)


def test_the_score_of_hand_and_foot_adds_the_places_of_both_pictures(monkeypatch):
    "Every place of a hand is read as the number of the patient, every place of a foot as ten times that."
    system, patients = "ra-handfoot-xray-damage", pd.DataFrame({"patient_id": ["a", "b", "c"]})
    hand, foot = systems.regions[system]
    def pictures(system, sites, seed, part, table):
        return regions.Pictures(torch.arange(1., 4.)*(10 if sites is foot else 1), table, (1., 1.))
    class Reads:
        def __init__(self, sites): self.sites = sites
        def scores(self, images): return pd.DataFrame({c: images.numpy() for c in self.sites.columns()})
    monkeypatch.setattr(systems, "pictures", pictures)
    monkeypatch.setattr(systems, "_found", lambda *about: None)
    monkeypatch.setattr(systems, "scorer", lambda known, sites, find, seed: Reads(sites))
    answers, = systems.by_regions(system, 0, patients, [patients], "regress")
    once = len(hand.columns()) + 10*len(foot.columns())
    assert len(hand.columns()) == 31 and len(foot.columns()) == 12 and answers[:, 0].tolist() == [once, 2*once, 3*once]


def test_measures_are_in_millimetres_and_milliseconds():
    labels = torch.zeros(4, 10, 12, dtype=torch.uint8); labels[1:3, 2:4, 3:9] = 1
    times = (5., 10., 20., 40.)
    image = torch.exp(-torch.tensor(times)/28).view(4, 1, 1, 1)*torch.ones(4, 4, 10, 12)
    volume, area, thick, slices, rows, columns, *means, t2 = measures(image, labels, 1, (3., .5, .4), times)
    assert volume == pytest.approx(24*3*.5*.4) and area == pytest.approx(12*3*.4) and thick == pytest.approx(1.)
    assert (slices, rows, columns) == pytest.approx((6., 1., 2.4), rel=.2) and t2 == pytest.approx(28, rel=.01) and means[0] == pytest.approx(float(image[0, 0, 0, 0]), rel=1e-4)


def test_a_mean_counts_every_voxel_as_far_as_it_is_believed_to_belong():
    image = torch.tensor([[[[1., 3.], [5., 100.]]]])                       # one channel, one slice
    shares = torch.tensor([[[[1., .5], [0., 0.]], [[0., 0.], [1., 0.]], [[0., 0.], [0., 0.]]]])
    assert mean_inside(image, shares).tolist() == pytest.approx([(1 + 1.5)/1.5, 5., 0.])
    assert mean_inside(torch.cat([image, 2*image]), shares).tolist() == pytest.approx([(1 + 1.5)/1.5, 2*(1 + 1.5)/1.5, 5., 10., 0., 0.])
    assert mean_inside(image[:, 0], shares[0]).tolist() == mean_inside(image, shares).tolist(), "a flat image is a volume of one slice"


def test_what_was_not_found_measures_nothing():
    assert not measures(torch.ones(2, 8, 8), torch.zeros(8, 8, dtype=torch.uint8), 2, (1., 1.)).any()
    assert extent(torch.zeros(3, 4, dtype=torch.bool), 0) == 0


def test_an_outliner_learns_bright_squares_in_flat_and_in_deep_images():
    g = torch.Generator().manual_seed(0)
    def one(i):
        x, y = torch.randn(1, 4, 32, 32, generator=g)*.3, torch.zeros(4, 32, 32, dtype=torch.uint8)
        r, c = 4 + i % 10, 6 + (3*i) % 12
        y[1:3, r:r+10, c:c+9] = 1
        return x + 2*y, y
    images, labels = zip(*[one(i) for i in range(14)])
    draw = outliner(list(images[:10]), list(labels[:10]), epochs=20)
    for x, y in zip(images[10:], labels[10:]):
        found = draw(x)
        assert found.shape == y.shape and 2*float(((found == 1) & (y == 1)).sum())/float((found == 1).sum() + (y == 1).sum()) > .85
    assert draw(images[10][:, 1]).shape == (32, 32)

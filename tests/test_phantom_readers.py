"Readers: as far apart as asked for, by the measure that was asked for; and lines on every structure."
import numpy as np
import pytest

from rheumkit.phantom.readers import Reader, agreeing, agreeing_outlines, icc

TRUE = np.random.default_rng(0).integers(0, 40, 300)
SCALE = (0, 40, 3.)


def test_icc_is_that_of_the_example_of_shrout_and_fleiss():
    "Four judges, six targets (Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420, table 2): ICC(2,1) is .29."
    judges = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]).T
    assert icc(*judges) == pytest.approx(.29, abs=.005)


@pytest.mark.parametrize("by", ["kappa", "ICC"])
@pytest.mark.parametrize("aim", [.9, .7])
def test_readers_agree_as_asked_for_on_other_readings_too(by, aim):
    from sklearn.metrics import cohen_kappa_score
    true, scale = (TRUE % 5, (0, 4, .5)) if by == "kappa" else (TRUE, SCALE)
    reader = agreeing(aim, true, scale, by=by)
    again = [(reader.read(true, scale, [7, k, 0]), reader.read(true, scale, [7, k, 1])) for k in range(6)]
    found = np.mean([cohen_kappa_score(a, b, weights="quadratic") if by == "kappa" else icc(a, b) for a, b in again])
    assert found == pytest.approx(aim, abs=.03)


def test_another_measure_and_an_agreement_that_nobody_has_are_named():
    with pytest.raises(ValueError, match="not by 'percent'"): agreeing(.8, TRUE, SCALE, by="percent")
    with pytest.raises(ValueError, match="cannot be had"): agreeing(1.2, TRUE, SCALE, by="ICC")


def test_two_drawers_overlap_as_asked_for():
    y, x = np.mgrid[:60, :60]
    masks = [(y-30)**2 + (x-30)**2 < r**2 for r in (8, 12, 16)]
    reader = agreeing_outlines(.85, masks, (.5, .5))
    dice = np.mean([2*(a & b).sum()/(a.sum()+b.sum()) for k in range(10) for m in masks for a, b in [(reader.outline(m, (.5, .5), [5, k, 0]), reader.outline(m, (.5, .5), [5, k, 1]))]])
    assert dice == pytest.approx(.85, abs=.03)


def test_every_structure_is_drawn_and_keeps_its_number():
    truth = np.zeros((2, 40, 50), np.uint8); truth[:, 5:15, 5:45], truth[:, 20:35, 10:40] = 3, 7
    steady, generous = Reader(wander=0.).labels(truth, (3., .5, .5)), Reader(outwards=1., wander=0.).labels(truth, (3., .5, .5))
    assert (steady == truth).all() and steady.dtype == np.uint8
    assert all((generous == k).sum() > (truth == k).sum() for k in (3, 7)) and set(np.unique(generous)) == {0, 3, 7}
    for inner, outer in ((1, 2), (2, 1)):       # where structures touch, no number is favoured
        nested = np.full((40, 40), outer, np.uint8); nested[12:28, 12:28] = inner
        assert ((Reader(outwards=1., wander=0.).labels(nested, (.5, .5)) == nested).all())
    shaky = [Reader(wander=.6).labels(truth, (3., .5, .5), seed) for seed in (1, 1, 2)]
    assert (shaky[0] == shaky[1]).all() and (shaky[0] != shaky[2]).any()


def test_a_cohort_carries_the_outlines_of_the_reader_who_was_asked():
    from rheumkit.phantom.recipes import simulate
    asked = dict(name="spine-radiograph-lumbar", patients=3, seed=4)
    plain, first, second, other = (simulate(**asked, reader=r) for r in (None, Reader(name="first", wander=.5), Reader(name="first", wander=.5), Reader(name="other", wander=.5)))
    assert "outlined" not in plain.truth and (first.table.msasss_true == plain.table.msasss_true).all()
    for i in range(len(first)):
        true, drawn = (first.truth[what][i].numpy() for what in ("structures", "outlined"))
        assert drawn.shape == true.shape and (drawn == second.truth["outlined"][i].numpy()).all() and set(np.unique(drawn)) <= set(np.unique(true))
        dice = 2*((drawn > 0) & (true > 0)).sum()/((drawn > 0).sum() + (true > 0).sum())
        assert .85 < dice < 1 and (drawn != other.truth["outlined"][i].numpy()).any()
    assert (first.where([2]).truth["outlined"][0] == first.truth["outlined"][2]).all()


def test_a_schema_leaves_out_lesions_site_by_site_and_no_truth_changes():
    from rheumkit.phantom.recipes import simulate
    found = {"erosion": {"mcp2": .1, "mcp3": [.3, .05]}, "narrowing": .1, "pose": {"turn": -3.}}
    kinds = ("erosion", "narrowing")
    assert Reader(schema={"erosion": .2}).counted(found, kinds) == {**found, "erosion": {"mcp2": 0., "mcp3": [.3, 0.]}} and Reader().counted(found, kinds) == found
    with pytest.raises(ValueError, match="'dents'.*erosion, narrowing"): Reader(schema={"dents": .1}).counted(found, kinds)
    asked = dict(name="wrist-mri", patients=40, seed=3, sides=("R",))
    usual, strict = simulate(**asked, reader=Reader(spread=0.)).table, simulate(**asked, reader=Reader(spread=0., schema={"oedema": .5})).table
    assert (strict.ramris_oedema <= usual.ramris_oedema).all() and strict.ramris_oedema.sum() < .9*usual.ramris_oedema.sum()
    assert (strict[["ramris_synovitis", "ramris_oedema_true", "tenosynovitis"]] == usual[["ramris_synovitis", "ramris_oedema_true", "tenosynovitis"]]).all().all()


def test_a_schema_may_be_of_either_examination_of_a_system():
    from rheumkit.phantom.recipes import simulate
    asked = dict(name="oa-knee-incident-challenge", patients=2, seed=1)
    usual, strict = simulate(**asked, reader=Reader()).table, simulate(**asked, reader=Reader(schema={"cartilage_loss": .99, "narrowing": .99})).table
    assert len(usual) == len(strict)
    with pytest.raises(ValueError, match="'dents'.*cartilage_loss.*narrowing"): simulate(**asked, reader=Reader(schema={"dents": .1}))

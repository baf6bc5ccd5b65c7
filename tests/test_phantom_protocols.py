"""Scanners that can be asked for by name and that nobody is examined on otherwise: Dixon's images of the thigh, k-space with lines left out at the wrist."""
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rheumkit.cli import main
from rheumkit.images.cohort import CohortError
from rheumkit.phantom.body import composition, without
from rheumkit.phantom.files import check_wishes, read_simulated, write_simulated
from rheumkit.phantom.mri import fat_fraction, sampled_lines, tissues, undersampled
from rheumkit.phantom.recipes import recipe, recipes, simulate
from rheumkit.phantom.registry import where
from rheumkit.phantom.systems import simulate_system

DIXON, QUICK = ("thigh-mri", "Delta 3T Dixon"), ("wrist-mri", "university 3 T accelerated")
SMALL = {"thigh-mri": (64, 64), "wrist-mri": (4, 48, 48)}
BY_NAME = [(name, protocol) for name in where for protocol in recipe(name).protocols]


def test_the_offer():
    assert {DIXON, QUICK} <= set(BY_NAME)
    table = recipes().set_index("recipe")
    for name, protocol in BY_NAME: assert protocol in table.loc[name, "by name"] and protocol not in table.loc[name, "scanners"].split(", ")


@pytest.mark.parametrize("name", sorted({name for name, _ in BY_NAME}))
def test_nobody_is_examined_on_a_protocol_unasked(name):
    r = recipe(name)
    here, before = (simulate(x, patients=40, seed=5, size=SMALL[name]) for x in (r, replace(r, protocols={})))
    assert here.table.equals(before.table) and set(here.table.scanner) == set(r.scanners)
    for i in (0, 3): assert torch.equal(here.pixels[i], before.pixels[i])


WRISTS, THIGHS = ["clinic"]*3 + ["univer", "clinic"] + ["univer"]*3, ["Delta ", "Cirrus", "Delta "] + ["Cirrus"]*4 + ["Delta "]


def test_who_was_examined_where_is_as_it_always_was():
    assert simulate("wrist-mri", patients=8, seed=0, sides=("R",)).table.scanner.str[:6].tolist() == WRISTS
    assert simulate("thigh-mri", patients=8, seed=0, sides=("R",)).table.scanner.str[:6].tolist() == THIGHS


@pytest.mark.parametrize("name, protocol", BY_NAME)
def test_it_is_rendered_where_it_is_asked_for(name, protocol):
    r = recipe(name); machine = r.protocols[protocol]
    usual, asked = (simulate(name, patients=2, seed=5, size=SMALL[name], scanner=s) for s in (None, protocol))
    assert set(asked.table.scanner) == {protocol} and set(asked.table.centre) == {machine.centre}
    apart = ["scanner", "centre"]
    pd.testing.assert_frame_equal(usual.table.drop(columns=apart), asked.table.drop(columns=apart))      # the same people
    x = asked.pixels[0]
    assert x.shape == (len(machine.sequences), *SMALL[name]) and torch.isfinite(x).all() and float(x.std()) > .01
    for what in ("structures", "lesions"): assert torch.equal(asked.truth[what][0], usual.truth[what][0])


def test_fat_fraction_is_that_of_the_tissue_table():
    r = recipe(DIXON[0]); machine = r.protocols[DIXON[1]]
    who = r.person(np.random.default_rng(4)); found = r.disease(who, "R", 0, np.random.default_rng(5))
    scene = r.scene(who, "R", {**found, "fat_replacement": dict.fromkeys(found["fat_replacement"], .4)})
    image = r.image(scene, machine, None)
    together, opposed, water, fat = image
    assert torch.allclose(together, water + fat, atol=1e-4) and torch.allclose(opposed, (water - fat).abs(), atol=1e-4)
    share = fat_fraction(water, fat)
    oil, muscle = composition(scene.now, ("fat", "muscle"))[:, 0]
    protons = tissues["fat"].pd*oil/(tissues["fat"].pd*oil + tissues["muscle"].pd*muscle).clamp_min(1e-6)
    pure, none, mixed = oil > .999, muscle > .999, (oil + muscle > .999) & (oil > .2) & (oil < .8)
    assert min(int(m.sum()) for m in (pure, none, mixed)) > 50
    assert float(share[pure].min()) > .99 and float(share[none].max()) < .01
    assert float((share - protons)[mixed].abs().max()) < .03
    noisy = [fat_fraction(*r.image(scene, machine, np.random.default_rng(k))[2:]) for k in range(4)]      # however the machine is set this time
    for seen in noisy: assert float(seen[pure].mean()) > .97 and float(seen[none].mean()) < .04 and abs(float((seen - protons)[mixed].mean())) < .03


def test_no_fat_fraction_where_nothing_is():
    assert fat_fraction(torch.tensor([0., .6, .0, .3]), torch.tensor([.01, .0, .6, .3])).tolist() == pytest.approx([0., 0., 1., .5])


def test_left_out_lines_blur_and_fold_along_the_phase_direction_only():
    r = recipe(QUICK[0]); quick, size = r.protocols[QUICK[1]], (4, 96, 96)
    usual = quick.with_(acceleration=1.)
    who = r.person(np.random.default_rng(3)); found = {**r.disease(who, "R", 0, np.random.default_rng(3)), "erosion": {}, "synovitis": {}, "tenosynovitis": {}, "oedema": {"lunate": .8}}
    ill, well = ({s: r.image(r.scene(who, "R", severities, size), s, None) for s in (usual, quick)} for severities in (found, without(found, ("oedema",))))
    gain = torch.tensor(quick.gain)[:, None, None, None]
    assert torch.allclose(ill[quick], undersampled(ill[usual]/gain, sampled_lines(96, quick.acceleration, quick.pattern))*gain, atol=1e-5)      # every column by itself
    changed, carried = ((ill[s] - well[s]).abs().amax((0, 1)) for s in (usual, quick))
    rows, columns = (changed.amax(d) > 1e-4 for d in (1, 0))
    assert 0 < int(columns.sum()) < 60 and 0 < int(rows.sum()) < 60
    assert float(carried[:, ~columns].max()) < 1e-4 < float(carried[~rows].max())         # never beside the lesion, but above and below it
    assert float((ill[usual] - ill[quick]).abs().mean()) > .02*float(ill[usual].mean())
    assert float(ill[quick][0].diff(dim=-2).abs().mean()) < .8*float(ill[usual][0].diff(dim=-2).abs().mean())


@pytest.mark.parametrize("name, protocol", BY_NAME)
def test_files_of_a_protocol_are_read_back_equal(tmp_path, name, protocol):
    assert check_wishes(name, scanner=protocol) is None
    write_simulated(name, tmp_path/"p", patients=1, seed=3, size=SMALL[name], scanner=protocol, progress=False)
    again, fresh = read_simulated(tmp_path/"p"), simulate(name, patients=1, seed=3, size=SMALL[name], scanner=protocol)
    pd.testing.assert_frame_equal(again.table, fresh.table, check_dtype=False)
    for i in range(len(fresh)):
        x, y = again.pixels[i], fresh.pixels[i]
        assert x.shape == y.shape and float((x - y).abs().max()) <= .51*float(y.max() - y.min())/65535 + 1e-6
        assert torch.equal(again.truth["structures"][i], fresh.truth["structures"][i]) and torch.allclose(again.truth["lesions"][i], fresh.truth["lesions"][i], atol=2e-3)
    if shutil.which("dciodvfy") is None: pytest.skip("read back equal; dciodvfy (Debian's dicom3tools) is not installed, so the files are not validated")
    for file in sorted((tmp_path/"p").rglob("*.dcm"))[::5]:
        said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        assert not [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error") and "(0x0008,0x001c)" not in line], file.name     # see test_phantom_files


def test_images_with_other_numbers_of_channels_live_in_one_cohort(tmp_path):
    machines = ["Delta 3T", DIXON[1]]; asked = dict(patients=6, seed=1, size=(48, 48), scanner=machines)
    fresh = simulate("thigh-mri", **asked)
    channels = [len(fresh.pixels[i]) for i in range(len(fresh))]
    assert channels == [4 if s == DIXON[1] else 2 for s in fresh.table.scanner] and set(channels) == {2, 4}
    assert {len(x) for x in fresh.where(scanner=DIXON[1]).pixels} == {4}
    write_simulated("thigh-mri", tmp_path/"both", progress=False, **asked)
    again = read_simulated(tmp_path/"both")
    for i, n in enumerate(channels):
        assert len(again.pixels[i]) == n and float((again.pixels[i] - fresh.pixels[i]).abs().max()) < 1e-4
        assert torch.equal(again.truth["structures"][i], fresh.truth["structures"][i])


def test_on_the_command_line(tmp_path, capsys):
    assert main(["simulate", DIXON[0], "--patients", "1", "--scanner", DIXON[1], "--out", str(tmp_path/"d")]) == 0
    assert len(read_simulated(tmp_path/"d").pixels[0]) == 4
    assert main(["simulate", DIXON[0], "--patients", "1", "--scanner", "Dixon", "--out", str(tmp_path/"e")]) == 2
    assert DIXON[1] in capsys.readouterr().err


def test_a_wrong_name_is_told_the_protocols_too():
    with pytest.raises(ValueError, match=QUICK[1]): simulate("wrist-mri", patients=1, scanner="7 T")
    with pytest.raises(CohortError, match=QUICK[1]): check_wishes("wrist-mri", scanner="7 T")
    with pytest.raises(ValueError, match=QUICK[1]): simulate_system("ra-wrist-mri-bones", patients=1, scanner="7 T")
    r = recipe("wrist-mri")
    with pytest.raises(ValueError, match="both among its scanners and its protocols"): replace(r, protocols=r.scanners)

"Settings, figures, quizzes, explorers: what the notebooks do not pin."
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rheumkit.core import explorers, figures, lesson
from rheumkit.core import settings as kit


@given(seed=st.integers(-10**6, 10**6), static=st.booleans(), size=st.integers(8, 4096))
def test_settings_survive_the_environment(seed, static, size):
    read = kit.read_settings([], {"RHEUMKIT_SEED": str(seed), "RHEUMKIT_STATIC": str(static), "RHEUMKIT_IMAGE_SIZE": f" {size} "})
    assert (read.seed, read.static, read.image_size) == (seed, static, size)


@pytest.mark.parametrize("name, value, said", [("SEED", "one", "whole number"), ("STATIC", "perhaps", "true or false"), ("DEVICE", "abacus", "auto, cpu or cuda"), ("IMAGE_SIZE", "3", "8 pixels")])
def test_a_wrong_setting_is_named(name, value, said):
    with pytest.raises(ValueError, match=said): kit.read_settings([], {f"RHEUMKIT_{name}": value})


def test_an_unknown_setting_is_named_with_its_file(tmp_path):
    (tmp_path/"settings.ini").write_text("[rheumkit]\nsede = 3\n")
    with pytest.raises(ValueError, match=r"settings\.ini.*sede.*seed"): kit.read_settings([tmp_path/"settings.ini"], {})


def test_the_nearest_settings_win_and_those_of_other_tools_are_left_alone(tmp_path):
    (tmp_path/"settings.ini").write_text("[rheumkit]\nseed = 3\n")
    (tmp_path/"a").mkdir(), (tmp_path/"a"/"b").mkdir()
    (tmp_path/"a"/"settings.ini").write_text("[DEFAULT]\nlib_name = other\n")
    assert kit.settings_files(tmp_path/"a"/"b")[-1] == (tmp_path/"settings.ini").resolve()


def test_settings_file_lists_every_knob(root):
    text = (root/"settings.ini").read_text()
    assert set(re.findall(r"^(\w+) =", text, re.M)) == set(kit.Settings.__dataclass_fields__)
    assert kit.read_settings([root/"settings.ini"], {}).data_folder == root/"data_samples"


@given(arrays(np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32)))
def test_greys_keep_the_order_of_intensities(image):
    grey = figures.to_uint8(image)
    order = np.argsort(image, axis=None)
    assert grey.dtype == np.uint8 and (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_a_picture_escapes_its_text():
    page = figures.Picture(figures.to_png(np.zeros((2, 2), np.uint8)), 'a < b & "c"', caption="<b>")._repr_html_()
    assert 'alt="a &lt; b &amp; &quot;c&quot;"' in page and "&lt;b&gt;" in page


@pytest.mark.parametrize("image", [np.zeros((4, 6)), np.zeros((1, 4, 6)), np.zeros((4, 6, 3), np.uint8)])
def test_show_images_takes_one_image_in_any_form(image):
    assert figures.show_images(image, alt="nothing but black, to see that it is taken").png[:4] == b"\x89PNG"


def test_show_images_wants_alternative_text():
    with pytest.raises(ValueError, match="alternative text"): figures.show_images(np.zeros((4, 4)))


def test_pictures_close_their_figures():
    import matplotlib.pyplot as plt
    before = plt.get_fignums()
    figures.show_images([np.eye(9)]*3, titles=list("abc"), spacing=(1, 1), simulated=True, orientation=("R", "L"), alt="three diagonals, side by side")
    assert plt.get_fignums() == before


def knob_draw(size=3, kind="a", on=False): return np.full((size, size), {"a": 0, "b": 200}[kind] + on, np.uint8)


def asked(live, *positions):
    "What an explorer sends to the page when it asks for a picture."
    sent = []
    live.send = lambda content, buffers=None: sent.append((content, buffers))
    live._handle_custom_msg({"draw": list(positions), "key": "k"}, [])
    return sent[-1]


def test_explorer_moves_its_picture_with_every_knob(monkeypatch):
    monkeypatch.setattr(kit.settings, "static", False)
    live = explorers.explore(knob_draw, alt="a grey square", size=(3, 9, 1), kind=["a", "b"], on=False)
    seen = {live.first}
    for k, knob in enumerate(live.knobs):
        positions = [0, 0, 0]
        positions[k] = 1
        content, (png,) = asked(live, *positions)
        assert content == {"key": "k"} and png not in seen, f"{knob['label']} does not move the picture"
        seen.add(png)
    live.positions = [2, 1, 0]
    assert live.setting() == "size = 5, kind = b, on = False"


def test_explorer_tells_of_a_picture_that_cannot_be_drawn(monkeypatch):
    monkeypatch.setattr(kit.settings, "static", False)
    def draw(size): return np.zeros((3, 3)) + 1//(9 - size)
    live = explorers.explore(draw, alt="a grey square", size=(3, 9, 1))
    content, buffers = asked(live, 6)
    assert "ZeroDivisionError" in content["error"] and not buffers


@given(low=st.floats(-50, 50), steps=st.integers(1, 400), step=st.floats(.001, 10))
def test_a_slider_stands_where_it_was_told(low, steps, step):
    values = explorers.knob_values((low, low + steps*step, step))
    assert len(values) == steps + 1 and values == sorted(values) and values[0] == pytest.approx(low, abs=1e-9) and values[-1] == pytest.approx(low + steps*step, abs=1e-9)
    assert explorers.knob_place((low, low + steps*step, step, values[steps//2])) == steps//2


def test_explorer_twin_has_a_picture_for_each_value_and_text_for_each_picture(monkeypatch):
    monkeypatch.setattr(kit.settings, "static", True)
    page = explorers.explore(knob_draw, alt="a grey square", twin=dict(kind=["a", "b"], size=[3, 9]), size=(3, 9, 1), kind=["a", "b"], on=False)._repr_html_()
    assert re.findall(r'alt="([^"]+)"', page) == [f"a grey square Here with kind = {k}, size = {s}." for k in "ab" for s in (3, 9)]


@pytest.mark.parametrize("wrong", [dict(alt=""), dict(alt="x", twin=dict(colour=[1]), size=(1, 3, 1)), dict(alt="x"), dict(alt="x", size=(3, 1, 1)), dict(alt="x", colour=(1, 3, 1))])
def test_a_wrong_explorer_says_so(wrong):
    with pytest.raises(ValueError): explorers.explore(knob_draw, **wrong)


question = {"question": "Which way?", "answers": {"Up": "No, <down>.", "Down": "Yes.", "Sideways": "No."}, "right": 1}


def test_quiz_explains_every_answer_in_both_forms(monkeypatch):
    monkeypatch.setattr(kit.settings, "static", True)
    page = lesson.quiz([question])._repr_html_()
    assert page.count("<details>") == 3 and page.count("<b>Right.</b>") == 1 and "&lt;down&gt;" in page
    monkeypatch.setattr(kit.settings, "static", False)
    (shown,) = lesson.quiz([question]).questions
    assert sorted(shown["answers"]) == sorted(question["answers"]) and [shown["answers"][k] for k, mark in enumerate(shown["marks"]) if "Right" in mark] == ["Down"]
    assert all(question["answers"][a] == why for a, why in zip(shown["answers"], shown["whys"]))


@given(st.integers(3, 6), st.text(min_size=1))
def test_the_right_answer_stays_right_wherever_it_is_shown(count, asked):
    answers = {f"answer {k}": f"why {k}" for k in range(count)}
    shown = lesson.shuffled({"question": asked, "answers": answers, "right": count - 1})
    assert [a for a, _, right in shown if right] == [f"answer {count - 1}"] and dict((a, why) for a, why, _ in shown) == answers


@pytest.mark.parametrize("value", [False, None, np.False_, 0])
def test_check_says_what_is_missing(value):
    with pytest.raises(lesson.NotYet, match="the left column"): lesson.check(value, "subtract the left column")


def test_check_shows_no_traceback_in_a_notebook():
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell()
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell("from rheumkit.core.lesson import check\ncheck(False, 'add one')")
    assert shown == ["Not yet: add one"]


@pytest.mark.parametrize("make, said", [(lambda: lesson.quiz([question]), "Which way?"), (lambda: lesson.predict("Left or right?", ["Left", "Right"]), "<li>Left</li>"),
                                        (lambda: explorers.explore(knob_draw, alt="a grey square", size=(3, 9, 1)), 'alt="a grey square Here with size = 3."')])
def test_every_widget_carries_what_is_seen_of_it_without_a_kernel(make, said, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    monkeypatch.setattr(kit.settings, "static", False)
    bundle, _ = InteractiveShell.instance().display_formatter.format(make())
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert said in bundle["text/html"] and "run the cell" in bundle["text/html"]


@pytest.mark.parametrize("grey", [0, 255])
def test_marks_are_seen_on_black_and_on_white(grey):
    "Without titles and letters, the marks alone must put both light and dark on the image."
    import io

    from PIL import Image
    bare, marked = (np.asarray(Image.open(io.BytesIO(figures.show_images(np.full((99, 99), grey, np.uint8), alt="one grey", **marks).png)).convert("L")).astype(int)
                    for marks in ({}, dict(spacing=(1, 1), simulated=True)))
    assert bare.shape == marked.shape
    corners = (slice(marked.shape[0]*3//4, None), slice(0, marked.shape[1]//2)), (slice(marked.shape[0]*3//4, None), slice(marked.shape[1]//2, None))
    for corner in corners: assert np.ptp(marked[corner][4:-9, 9:-9]) > 130, "a mark is not to be told from the image"


def test_progress_is_kept_between_visits_and_taken_back(tmp_path, monkeypatch):
    from rheumkit.core import progress
    (tmp_path/".rheumkit").mkdir(), (tmp_path/"3_learning").mkdir()
    (tmp_path/".rheumkit"/"placed.json").write_text("{}")
    (tmp_path/"3_learning"/"a.ipynb").write_text('{"cells": [{"cell_type": "markdown", "source": "# A"}, {"cell_type": "code", "source": "quiz([])"}]}')
    monkeypatch.chdir(tmp_path/"3_learning")
    monkeypatch.setenv("JPY_SESSION_NAME", "3_learning/a.ipynb")
    monkeypatch.setattr(kit.settings, "static", False)
    live = lesson.quiz([question])
    right = next(k for k, mark in enumerate(live.questions[0]["marks"]) if "Right" in mark)
    live.given = [right]
    assert progress.progress().rows() == [("3_learning/a.ipynb", "A", 0, 0, 1, 1)]
    live.given = [(right + 1) % 3]
    assert progress.progress().rows()[0][4] == 0
    (tmp_path/".rheumkit"/"progress.json").write_text("{torn")
    with pytest.raises(ValueError, match="progress.json is damaged"): progress.progress()


def test_two_notebooks_keep_their_progress_at_the_same_time(tmp_path):
    "Each kernel solves forty exercises while the other does; none is lost, and a file of an earlier visit is carried on."
    from rheumkit.core.progress import read_progress
    (tmp_path/".rheumkit").mkdir(); (tmp_path/".rheumkit"/"placed.json").write_text("{}")
    (tmp_path/".rheumkit"/"progress.json").write_text('{"1_images/old.ipynb": {"quiz": ["q"]}}')
    solve = ("import sys; from rheumkit.core.progress import remember; print('ready', flush=True); sys.stdin.readline()\n"
             "for k in range(40): remember('exercise', f'e{k}', True)")
    names = ["3_learning/a.ipynb", "3_learning/b.ipynb"]
    kernels = [subprocess.Popen([sys.executable, "-c", solve], cwd=tmp_path, env={**os.environ, "JPY_SESSION_NAME": str(tmp_path/name)},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in names]
    for kernel in kernels: assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels: kernel.stdin.write("go\n"); kernel.stdin.flush()
    for kernel in kernels: kernel.communicate(timeout=60); assert kernel.returncode == 0
    kept = read_progress(tmp_path/".rheumkit"/"progress.json")
    assert kept == {"1_images/old.ipynb": {"quiz": ["q"]}, **{name: {"exercise": [f"e{k}" for k in range(40)]} for name in names}}


def test_nothing_is_kept_outside_of_the_course(tmp_path, monkeypatch):
    from rheumkit.core.progress import kept_in, remember
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path/"a.ipynb"))
    remember("exercise", "one", True)
    assert kept_in(tmp_path) is None and list(tmp_path.iterdir()) == []

"Every notebook: from top to bottom, clean, in step with its module, and in the form of its kind."
import ast
import json
import os
import re
import shutil

import nbformat
import notebooks
import pytest

from rheumkit.core import course
from rheumkit.core.settings import settings

ALL = notebooks.all_notebooks()
NAMES = [path.relative_to(notebooks.ROOT/"nbs").as_posix() for path in ALL]
LESSONS = [path for path in ALL if course.is_lesson(json.loads(path.read_text(encoding="utf-8"))) and path.name != "index.ipynb"]
LESSON_NAMES = [path.relative_to(notebooks.ROOT/"nbs").as_posix() for path in LESSONS]
every_notebook = pytest.mark.parametrize("path", ALL, ids=NAMES)
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=LESSON_NAMES)


def read(path): return nbformat.read(path, 4)


def html_of(notebook):
    "All HTML that is stored in the outputs of a notebook."
    return "".join("".join(o.get("data", {}).get("text/html", "")) for c in notebook.cells if c.cell_type == "code" for o in c.outputs)


@every_notebook
def test_runs_from_top_to_bottom(path, tmp_path, artefacts):
    "In a kernel of its own and in a folder of its own; its seconds go to artefacts/notebooks.csv."
    folder = tmp_path/path.parent.name
    folder.mkdir()
    for beside in path.parent.iterdir(): (folder/beside.name).symlink_to(beside)   # the index reads the lessons that it lists
    for name in ("settings.ini",): shutil.copy(notebooks.ROOT/name, tmp_path)
    if (notebooks.ROOT/"data_samples").is_dir(): (tmp_path/"data_samples").symlink_to(notebooks.ROOT/"data_samples")
    first, seconds = notebooks.run(read(path), folder)
    table = artefacts/"notebooks.csv"
    line = f"{path.relative_to(notebooks.ROOT/'nbs').as_posix()},{'' if first is None else f'{first:.1f}'},{seconds:.1f}"
    kept = [old for old in table.read_text().splitlines()[1:] if old.split(",")[0] != line.split(",")[0]] if table.exists() else []
    table.write_text("\n".join(["notebook,first_picture_s,seconds", *sorted([*kept, line])]) + "\n")
    print(line)
    assert seconds < 3*settings.lesson_seconds, f"{seconds:.0f} s: the budget of a lesson is {settings.lesson_seconds} s"


@every_notebook
def test_is_clean(path):
    "As `make refresh` leaves it: the agreed metadata only, no counters, no dead widgets."
    assert notebooks.is_clean(path), "run  python tools/notebooks.py clean"


@every_notebook
def test_is_valid_and_small(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert path.stat().st_size < 1_000_000
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert not [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"], "an error is stored among the outputs"
    shown = [kind for c in notebook.cells if c.cell_type == "code" for o in c.outputs for kind in o.get("data", {})]
    assert not [kind for kind in shown if kind.startswith("application/vnd.jupyter.widget")] and "widgets" not in notebook.metadata, "a dead widget is stored among the outputs"


@every_notebook
def test_every_picture_has_alternative_text(path):
    notebook = read(path)
    images = re.findall(r"<img\b[^>]*>", html_of(notebook)) + re.findall(r"<img\b[^>]*>", "".join(c.source for c in notebook.cells if c.cell_type == "markdown"))
    assert not [i[:80] for i in images if not re.search(r'alt="[^"]{12,}"', i)]
    assert not re.findall(r"!\[\s*\]\(", "".join(c.source for c in notebook.cells if c.cell_type == "markdown"))
    bare = [c.id for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})]
    assert not bare, f"cells {bare} show a bare figure; use picture(fig, alt=...)"


def test_modules_are_in_step_with_their_notebooks():
    assert notebooks.out_of_step() == []


def test_cleaning_keeps_what_the_course_needs():
    "Tags, nbgrader's marks, folding and alternative text survive; what belongs to one run does not."
    cell = nbformat.v4.new_code_cell("x", metadata={"tags": ["teacher"], "nbgrader": {"solution": True}, "jupyter": {"source_hidden": True}, "execution": {"iopub.status.busy": "now"}})
    cell.execution_count = 3
    picture = nbformat.v4.new_output("display_data", {"text/html": '<img alt="a knee, seen from the front">'})
    widget = nbformat.v4.new_output("display_data", {notebooks.WIDGET: {"model_id": "0"}, "text/plain": "VBox"})
    cell.outputs = [picture, widget, nbformat.v4.new_output("stream", name="stderr", text="a warning")]
    done = notebooks.clean(nbformat.v4.new_notebook(cells=[cell])).cells[0]
    assert dict(done.metadata) == {"tags": ["teacher"], "nbgrader": {"solution": True}, "jupyter": {"source_hidden": True}}
    assert done.execution_count is None and done.outputs == [picture]


WITHOUT = {}   # lesson: parts that it does without, so far


@every_lesson
def test_lesson_has_its_parts(path):
    "STYLE.md's parts: objectives, minutes, an early picture, a prediction, an explorer, exercises with checks, a quiz, take home, the teacher's notes."
    notebook = read(path)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    source = "\n".join(c.source for c in code)
    missing = [part for part, there in {
        "title": notebook.cells[0].source.startswith("# "), "objectives": "**Objectives" in text, "minutes": "**Minutes" in text,
        "builds on": "**Builds on" in text, "not a medical device": "not a medical device" in text.lower(),
        "prediction": "predict(" in source, "explorer": re.search(r"\bexplore(r)?\(", source),
        "quiz": "quiz(" in source, "2 to 4 exercises": 2 <= sum(bool(c.metadata.get("nbgrader", {}).get("solution")) for c in code) <= 4,
        "a check for each": sum(bool(c.metadata.get("nbgrader", {}).get("grade")) for c in code) >= sum(bool(c.metadata.get("nbgrader", {}).get("solution")) for c in code),
        "take home": "take home" in text.lower(), "teacher": any("teacher" in c.metadata.get("tags", []) for c in notebook.cells),
        "a DOI": "doi" in text.lower()}.items() if not there]
    assert set(missing) <= WITHOUT.get(path.relative_to(notebooks.ROOT/"nbs").as_posix(), set())


@every_lesson
def test_quiz_has_three_to_five_questions(path):
    found = []
    for cell in read(path).cells:
        if cell.cell_type != "code" or "quiz(" not in cell.source: continue
        for node in ast.walk(ast.parse(course.without_directives(cell.source))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "quiz": found += node.args[0].elts
    assert 3 <= len(found) <= 5


@every_lesson
def test_lesson_shows_a_picture_early(path):
    "Within the first two code cells that a learner sees, or the third when the first only imports."
    shown = [c for c in read(path).cells if c.cell_type == "code" and course.is_for_learners(c)]
    assert any(notebooks.has_picture(cell) for cell in shown[:3])


def test_a_kernel_ends_with_its_notebook_and_has_its_environment(tmp_path):
    "A kernel that stays alive keeps a gigabyte of libraries in memory; thirty of them fill a laptop."
    cell = nbformat.v4.new_code_cell("import os, pathlib\npathlib.Path('kernel').write_text(f\"{os.getpid()} {os.environ['RHEUMKIT_STATIC']}\")")
    notebooks.run(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    pid, static = (tmp_path/"kernel").read_text().split()
    assert static == "1"
    with pytest.raises(ProcessLookupError): os.kill(int(pid), 0)

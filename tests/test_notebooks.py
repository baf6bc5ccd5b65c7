"Every notebook: from top to bottom, clean, in step with its module, and in the form of its kind."
import json
import os
import re
import shutil
import warnings

import nbformat
import notebooks
import pytest
from parts_of_a_lesson import missing_parts, spelled_answers

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
    "In a kernel of its own and in a folder of its own; its seconds go to artefacts/notebooks.csv, and are warned of above the budget: they are the machine's as much as the lesson's."
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
    if seconds > settings.lesson_seconds: warnings.warn(f"{line}: the budget of a lesson is {settings.lesson_seconds} s on a machine that has nothing else to do", stacklevel=1)


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


@every_lesson
def test_lesson_has_its_parts(path):
    "STYLE.md's parts, each of them; see parts_of_a_lesson.py."
    assert missing_parts(read(path)) == set()


@every_lesson
def test_no_check_spells_the_answer_of_a_choice(path): assert spelled_answers(read(path)) == [], "use sealed(answer)"


def without_cells(notebook, gone):
    notebook.cells = [c for c in notebook.cells if not gone(c)]


def replaced(notebook, pattern, with_, cells=lambda c: True):
    "Change the source of cells; something must change."
    before = [c.source for c in notebook.cells]
    for c in notebook.cells:
        if cells(c): c.source = re.sub(pattern, with_, c.source, flags=re.MULTILINE)
    assert before != [c.source for c in notebook.cells]


def without_outputs(notebook, pattern):
    "Take the outputs from the cells whose source has the pattern."
    for c in notebook.cells:
        if c.cell_type == "code" and re.search(pattern, c.source): c.outputs = []


def first_pictures_gone(notebook):
    for c in [c for c in notebook.cells if c.cell_type == "code" and course.is_for_learners(c)][:3]: c.outputs = []


def one_picture_without_words(notebook):
    html = next(o.data for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "<img" in o.get("data", {}).get("text/html", ""))
    html["text/html"] = re.sub(r'alt="[^"]*"', 'alt=""', html["text/html"], count=1)


def graded(kind): return lambda c: bool(c.metadata.get("nbgrader", {}).get(kind))
def is_code(c): return c.cell_type == "code"
def is_text(c): return c.cell_type == "markdown"


TAKEN_OUT = {
    "title": lambda n: replaced(n, r"\A# .*", ""),
    "promise": lambda n: replaced(n, r"^> .*", ""),
    "objectives": lambda n: replaced(n, r"\(\d\) ", ""),
    "minutes": lambda n: replaced(n, r"(running) \d+", r"\1"),
    "builds on": lambda n: replaced(n, r"^\*\*Builds on.*", ""),
    "disclaimer": lambda n: replaced(n, "(?i)not a medical device", ""),
    "early picture": first_pictures_gone,
    "prediction": lambda n: replaced(n, r"\bpredict\(", "print(", is_code),
    "explorer": lambda n: replaced(n, r"^(training\.)?explorer?\(", "print(", is_code),
    "static twin": lambda n: without_outputs(n, r"(?m)^explorer?\("),
    "alternative text": one_picture_without_words,
    "exercises": lambda n: without_cells(n, lambda c: graded("solution")(c) or graded("grade")(c)),
    "checks": lambda n: without_cells(n, lambda c: c.metadata.get("nbgrader", {}).get("grade_id") == "training-ex2-check"),
    "hints": lambda n: replaced(n, r'check\((\w.*?), "[^"]*"', r'check(\1, ""', lambda c: c.metadata.get("nbgrader", {}).get("grade_id") == "training-ex1-check"),
    "quiz": lambda n: replaced(n, r"^quiz\(", "print(", is_code),
    "explanations": lambda n: replaced(n, '"Then both would hardly move."', '""', is_code),
    "take home": lambda n: replaced(n, "^## Take home", "## Farewell", is_text),
    "references": lambda n: replaced(n, r"https://doi\.org/", "https://example.org/", is_text),
    "teacher": lambda n: without_cells(n, lambda c: "teacher" in c.metadata.get("tags", []))}


@pytest.mark.parametrize("part", TAKEN_OUT)
def test_a_part_that_is_taken_out_is_missed(part):
    "From a lesson that has everything: the part is found missing, and nothing else that does not go with it."
    notebook = read(notebooks.ROOT/"nbs"/"3_learning"/"02_training.ipynb")
    assert missing_parts(notebook) == set()
    TAKEN_OUT[part](notebook)
    go_with = {"explorer": {"static twin"}, "exercises": {"checks", "hints"}, "quiz": {"explanations"}, "take home": {"references"}}
    assert missing_parts(notebook) == {part} | go_with.get(part, set())


def test_every_part_has_been_taken_out(): assert set(TAKEN_OUT) == missing_parts(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("")]))


def test_an_answer_that_is_spelled_is_found():
    def exercise(solution, check):
        marks = [{"nbgrader": {"solution": kind == "solution", "grade": kind == "grade", "grade_id": f"x-{kind}"}} for kind in ("solution", "grade")]
        cells = [nbformat.v4.new_code_cell(f"### BEGIN SOLUTION\n{solution}\n### END SOLUTION", metadata=marks[0]), nbformat.v4.new_code_cell(check, metadata=marks[1])]
        return spelled_answers(nbformat.v4.new_notebook(cells=cells))
    assert exercise('first = "B"', 'check(first == "B", "which?")') == ["x-solution: 'B'"]
    assert exercise('a, b = "test", "external"', 'check(a == "test", "(a)")') == ["x-solution: 'test'"]
    assert exercise("changes = False", "check(changes is False, 'hint')") == ["x-solution: False"]
    assert exercise('first = "B"', 'check(sealed(first) == "c0ffee00", "which of A, B and C?")') == []
    assert exercise("n = 3000 // 64", "check(n == len(batches), 'how many?')") == []


def test_a_kernel_ends_with_its_notebook_and_has_its_environment(tmp_path):
    "A kernel that stays alive keeps a gigabyte of libraries in memory; thirty of them fill a laptop."
    cell = nbformat.v4.new_code_cell("import os, pathlib\npathlib.Path('kernel').write_text(f\"{os.getpid()} {os.environ['RHEUMKIT_STATIC']}\")")
    notebooks.run(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    pid, static = (tmp_path/"kernel").read_text().split()
    assert static == "1"
    with pytest.raises(ProcessLookupError): os.kill(int(pid), 0)

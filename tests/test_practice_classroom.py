"""A class from its release to its grades, with nbgrader itself and three simulated students."""
import csv
import html
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rheumkit.core.course import SOLUTION, notebooks_in, source_of, worked_solution
from rheumkit.practice.classroom import ClassError, build_class, grade_class, graded_lessons

ROOT = Path(__file__).parents[1]
NOTEBOOKS = notebooks_in(ROOT/"nbs")
LESSON = "00_pixels"                     # quick to run


def solution_cells(): return [(path, cell) for path, notebook in NOTEBOOKS.items() for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("solution")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("class")
    return out, build_class(out, [LESSON], tell=lambda _: None)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    "A class of all lessons: the files that students get, by name."
    out = tmp_path_factory.mktemp("all")
    wheel = build_class(out, tell=lambda _: None)
    files = {f.name: f.read_bytes() for f in (out/"student").iterdir() if f.suffix != ".whl"}
    with zipfile.ZipFile(wheel) as packed: files |= {name: packed.read(name) for name in packed.namelist()}
    return files


def texts(name, data):
    "All that a student could read in a file: the strings of a notebook one by one, other files as they are."
    if not name.endswith(".ipynb"): return [data.decode("utf-8", "ignore")]
    found = []
    def walk(x):
        if isinstance(x, str): found.append(x)
        elif isinstance(x, list):
            if x and all(isinstance(v, str) for v in x): found.append("".join(x))
            for v in x: walk(v)
        elif isinstance(x, dict):
            for v in x.values(): walk(v)
    walk(json.loads(data))
    return found


def squeezed(code): return re.sub(r"\s+", "", code)


def test_no_solution_in_any_file_of_the_student_release(everything):
    assert sum(name.startswith("rheumkit/_course/") and name.endswith(".ipynb") for name in everything) == len(NOTEBOOKS)
    readable = squeezed("\n".join(text for name, data in everything.items() for text in texts(name, data)))
    cells = solution_cells()
    assert len(cells) > 25
    for path, cell in cells:
        for block in SOLUTION.findall(source_of(cell)):
            assert squeezed(block[1]) not in readable, f"{path}: the solution {block[1][:60]!r} is in the students' files"
    assert "BEGINSOLUTION" not in squeezed("\n".join(t for n, d in everything.items() if n.endswith(".ipynb") and "workshop" not in n for t in texts(n, d)))
    assert "aworkedsolution(tryityourselffirst)" not in squeezed("\n".join(t for n, d in everything.items() if n.endswith(".ipynb") and "workshop" not in n for t in texts(n, d))).lower()


def test_no_telling_line_of_a_solution_either(everything):
    "A line of a solution may be read by students only where the same line is part of what is taught."
    readable = squeezed("\n".join(text for name, data in everything.items() for text in texts(name, data)))
    taught = squeezed("\n".join(SOLUTION.sub("", source_of(c)) for notebook in NOTEBOOKS.values() for c in notebook["cells"] if "teacher" not in c["metadata"].get("tags", [])))
    lines = {squeezed(line) for _, cell in solution_cells() for block in SOLUTION.findall(source_of(cell)) for line in block[1].splitlines() if not line.strip().startswith('"')}   # what a function is for stays
    long = {line for line in lines if len(line) >= 25}
    assert len(long) > 20 and not [line for line in long if line in readable and line not in taught]


def test_no_teachers_note_in_the_student_release(everything):
    readable = squeezed("\n".join(text for name, data in everything.items() if name.endswith(".ipynb") for text in texts(name, data)))
    notes = [source_of(c) for notebook in NOTEBOOKS.values() for c in notebook["cells"] if "teacher" in c["metadata"].get("tags", [])]
    assert len(notes) > 8 and not [n[:60] for n in notes if squeezed(n) in readable]


def test_release_keeps_checks_and_pictures_and_nbgrader_finds_it_valid(made):
    import nbformat
    from nbgrader.nbgraderformat import read
    out, _ = made
    file = out/"nbgrader"/"release"/LESSON/f"{LESSON}.ipynb"
    notebook = read(str(file), as_version=4)          # raises where nbgrader's marks are not valid
    nbformat.validate(notebook)
    checks = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    asked = [c for c in NOTEBOOKS[graded_lessons(NOTEBOOKS)[LESSON]]["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]
    assert len(checks) == len(asked) > 1 and all(c.metadata.nbgrader.checksum and c.metadata.editable is False for c in checks)
    assert any("<img" in str(c.get("outputs")) for c in notebook.cells)
    book = (out/"teacher"/"book.html").read_text()
    assert all(squeezed(worked_solution(source_of(c)))[:40] in squeezed(html.unescape(book)) for p, c in solution_cells() if p == graded_lessons(NOTEBOOKS)[LESSON])


def handed(release, edit):
    notebook = json.loads(release.read_text())
    edit(notebook)
    return json.dumps(notebook)


@pytest.fixture(scope="module")
def graded(made, tmp_path_factory):
    "Three students: one knows everything, one half of it, and one's file is torn."
    out, _ = made
    release, inbox = out/"nbgrader"/"release"/LESSON/f"{LESSON}.ipynb", tmp_path_factory.mktemp("inbox")
    answers = {c["metadata"]["nbgrader"]["grade_id"]: worked_solution(source_of(c)) for p, c in solution_cells() if p == graded_lessons(NOTEBOOKS)[LESSON]}
    some = list(answers)[:len(answers)//2]
    def solve(which):
        def edit(notebook):
            for cell in notebook["cells"]:
                if (mark := cell["metadata"].get("nbgrader", {})).get("grade_id") in which and mark.get("solution"): cell["source"] = answers[mark["grade_id"]]
                if mark.get("grade") and which is some: cell["source"] = "pass"       # somebody who helps the checks along
        return edit
    torn = release.read_text()
    for student, name, text in (("right", f"{LESSON}.ipynb", handed(release, solve(list(answers)))), ("half", f"{LESSON} (1).ipynb", handed(release, solve(some))), ("torn", f"{LESSON}.ipynb", torn[:len(torn)//2])):
        (inbox/student).mkdir()
        (inbox/student/name).write_text(text)
    before = {f: f.read_bytes() for f in inbox.rglob("*.ipynb")}
    rows = grade_class(out, inbox, tell=lambda _: None)
    assert before == {f: f.read_bytes() for f in inbox.rglob("*.ipynb")}     # what was handed in is as it was
    return out, rows, answers, some


def test_three_students_get_what_they_deserve(graded):
    _, rows, answers, some = graded
    of = {s: [r for r in rows if r["student"] == s] for s in ("right", "half", "torn")}
    assert sum(r["points"] for r in of["right"]) == sum(r["of"] for r in of["right"]) > 0
    passed = {r["exercise"] for r in of["half"] if r["points"]}
    assert 0 < len(passed) < len(of["half"]) and all(any(p.startswith(s) for s in some) for p in passed)   # rewritten checks were put back
    assert len(of["torn"]) == 1 and "cannot be read as a notebook" in of["torn"][0]["remark"]


def test_grades_stand_in_a_table(graded):
    out, rows, *_ = graded
    with (out/"grades.csv").open() as f: assert [r["student"] for r in csv.DictReader(f)] == [r["student"] for r in rows]


def test_what_the_teacher_changed_stays_and_the_newer_lesson_comes_beside(made, monkeypatch):
    out, _ = made
    from rheumkit.practice import classroom
    mine = next((out/"teacher").rglob(f"{LESSON}.ipynb"))
    mine.write_text(mine.read_text().replace("pixel", "PIXEL"))
    changed = mine.read_bytes()
    newer = {p: json.loads(json.dumps(n)) for p, n in NOTEBOOKS.items()}
    newer[graded_lessons(NOTEBOOKS)[LESSON]]["cells"][0]["source"] = "# Pixels, second edition\n\n> As before\n\n**Objectives** as before"
    monkeypatch.setattr(classroom, "notebooks_in", lambda _: newer)
    said = []
    build_class(out, [LESSON], tell=said.append)
    assert mine.read_bytes() == changed and "second edition" in mine.with_name(f"{LESSON} (new).ipynb").read_text()
    assert any("beside" in line and LESSON in line for line in said)


def test_errors_name_the_way_out(tmp_path):
    with pytest.raises(ClassError, match="pixels"): build_class(tmp_path, ["pixles"])
    with pytest.raises(ClassError, match="rheumkit class build"): grade_class(tmp_path, tmp_path)


def test_the_command_line_says_what_is_wrong(tmp_path):
    ran = subprocess.run([str(Path(sys.executable).parent/"rheumkit"), "class", "grade", str(tmp_path), "--handed-in", str(tmp_path)], capture_output=True, text=True)
    assert ran.returncode == 2 and "rheumkit class build" in ran.stderr and "Traceback" not in ran.stderr

"The learner's edition of every notebook, and the package that carries it."
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks
import pytest

from rheumkit.core import course

SOURCES = course.notebooks_in(notebooks.ROOT/"nbs")
LESSONS = [path for path, notebook in SOURCES.items() if course.is_lesson(notebook)]


def code_cells(notebook): return [c for c in notebook["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", SOURCES)
def test_learners_edition_is_valid_and_without_plumbing(path):
    made = course.learners_edition(SOURCES[path])
    nbformat.validate(nbformat.from_dict(made))
    for cell in made["cells"]:
        assert not course.source_of(cell).startswith("#|")
        assert "teacher" not in course.tags(cell)
    for cell in code_cells(made):
        compile_cell(course.source_of(cell))
        assert not course.SOLUTION.search(course.source_of(cell)) and "import nbdev" not in course.source_of(cell)


def compile_cell(source):
    "A cell's code must be Python once the lines for IPython are out."
    compile("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))), "cell", "exec")


@pytest.mark.parametrize("path", SOURCES)
def test_taught_code_is_kept(path):
    "Whatever is exported in plain sight is in the learner's edition too."
    taught = [course.without_directives(course.source_of(c)) for c in code_cells(SOURCES[path]) if course.is_for_learners(c) and "export" in course.directives(course.source_of(c))]
    made = [course.source_of(c) for c in code_cells(course.learners_edition(SOURCES[path]))]
    assert not [source[:60] for source in taught if source not in made]


@pytest.mark.parametrize("path", LESSONS)
def test_class_edition_has_no_solutions(path):
    made = json.dumps(course.learners_edition(SOURCES[path], solutions=False))
    assert "worked solution" not in made.lower()
    for cell in code_cells(SOURCES[path]):
        for _, solution in course.SOLUTION.findall(course.source_of(cell)): assert json.dumps(solution)[1:-1] not in made


ONE_PASS = """import fastai.callback.schedule
from fastai.learner import Learner
whole = Learner.fit_one_cycle
Learner.fit_one_cycle = lambda learn, n, *args, **kwargs: whole(learn, min(n, 1), *args, **kwargs)"""   # how well a network learns is seen where the notebooks are run as they are


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS)
def test_stubs_fail_their_checks_and_the_rest_runs(path, tmp_path):
    "The learner's edition runs from top to bottom; only checks (and what leans on an unsolved exercise) fail, and the first check of every exercise does."
    made = nbformat.from_dict(course.learners_edition(SOURCES[path]))
    if "3" <= path < "6": made.cells.insert(0, nbformat.v4.new_code_cell(ONE_PASS))    # floors that train; pitfalls hold what they compute against kept tables
    notebooks.run(made, tmp_path)
    for cell in made.cells:
        if cell.cell_type != "code" or "check(" not in cell.source or "raises-exception" not in cell.metadata.get("tags", []): continue
        errors = [o for o in cell.outputs if o.output_type == "error"]
        assert errors, f"this check passes although nothing was filled in:\n{cell.source}"
        assert errors[0].ename == "NotYet", f"a learner who has filled in nothing meets {errors[0].ename} ({errors[0].evalue}) instead of a hint:\n{cell.source}"


def test_stub_waits_for_names_and_functions():
    assert course.stub("a, b = 1, 2\nc: int = 3\n") == "# Your code here\na = todo\nb = todo\nc = todo\n"
    assert course.stub("def f(x, y=2):\n    return x*y\n") == "# Your code here\ndef f(x, y=2):\n    return todo\n"
    assert course.stub("print(1)\n") == "# Your code here\n"


def test_stub_keeps_to_itself_what_is_on_the_way():
    "Where the answer has its place already, neither names nor functions that lead to it are given away; a function that is itself asked for is."
    on_the_way = "### BEGIN SOLUTION\nlimit = 3\ndef gain(cut): return cut - limit\nbest = gain(5)\n### END SOLUTION"
    assert course.as_exercise("best = worst = None\n" + on_the_way) == "best = worst = None\n# Your code here"
    assert "def gain(cut):\n    return todo\nbest = todo" in course.as_exercise(on_the_way)


def test_learners_edition_gives_every_cell_a_valid_id():
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "a", "id": name} for name in ("ok", "ok", "not valid!", "x"*90, None)]
    cells[-1].pop("id")
    made = course.learners_edition({"cells": cells})
    nbformat.validate(nbformat.from_dict(made))
    assert len({c["id"] for c in made["cells"]}) == 5


def test_links_of_the_course_lead_somewhere(tmp_path):
    course.build_course(notebooks.ROOT, tmp_path/"course")
    broken = []
    for file in (tmp_path/"course").rglob("*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] != "markdown": continue
            for _, target in re.findall(r"(\]\()((?!https?:|#|mailto:|attachment:)[^)\s]+)", cell["source"]):
                if not (file.parent/target.split("#")[0]).exists(): broken.append(f"{file.relative_to(tmp_path)}: {target}")
    assert not broken


def test_every_name_of_the_course_is_known_where_it_is_used(tmp_path):
    "A cell that stays must not lean on one that is left out. Names may come from `from rheumkit.all import *`."
    import rheumkit.all
    course.build_course(notebooks.ROOT, tmp_path/"course")
    run = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F405,F821", "--output-format", "json", tmp_path/"course"], capture_output=True, text=True)
    asked = {(Path(m["filename"]).relative_to(tmp_path/"course").as_posix(), m["message"].split("`")[1]) for m in json.loads(run.stdout)}
    assert ("workshop/2_phantom/20_knee_mri.ipynb", "simulate") in asked, "the check sees names that a star brings"
    assert not [(file, name) for file, name in sorted(asked) if not hasattr(rheumkit.all, name)]


def test_place_survives_a_second_version_and_a_changed_one_beside(tmp_path):
    there, mine = tmp_path/"course", tmp_path/"mine"
    there.mkdir()
    (there/"a.ipynb").write_text("one")
    course.place(mine, there)
    (mine/"a.ipynb").write_text("my answer")
    for version in ("two", "three"):
        (there/"a.ipynb").write_text(version)
        course.place(mine, there)
        assert (mine/"a (new).ipynb").read_text() == version
    (mine/"a (new).ipynb").write_text("also mine")
    (there/"a.ipynb").write_text("four")
    course.place(mine, there)
    assert (mine/"a.ipynb").read_text() == "my answer" and (mine/"a (new).ipynb").read_text() == "also mine"
    assert "four" in [f.read_text() for f in mine.glob("*.ipynb")]


def test_course_is_made_into_an_empty_folder_only(tmp_path):
    (tmp_path/"mine.txt").write_text("mine")
    with pytest.raises(FileExistsError): course.build_course(notebooks.ROOT, tmp_path)


@pytest.mark.slow
def test_wheel_carries_the_course(tmp_path):
    "Build a wheel, install it somewhere else, and find the lessons, the samples, the settings and the kept tables there."
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    copy = tmp_path/"source"   # a copy, so that building leaves nothing behind in the checkout
    shutil.copytree(notebooks.ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "artefacts", "demo", "demo-real", "rheumkit-course", ".*_cache"))
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path/"dist", copy], check=True)
    wheel = next((tmp_path/"dist").glob("rheumkit-*.whl"))
    assert wheel.stat().st_size < 30_000_000
    target = tmp_path/"site"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    assert {f.name for f in target.iterdir()} <= {"rheumkit", "bin", wheel.name.split("-py3")[0] + ".dist-info"}, "something lies loose in site-packages"
    ask = "from rheumkit.core.course import course_folder, place; from rheumkit.core.settings import settings; import pathlib; " \
          "print(course_folder().name); print(sorted(k for k in place(pathlib.Path('mine')))); print(settings.data_folder.is_dir())"
    said = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env={"PYTHONPATH": str(target), "PATH": ""}, capture_output=True, text=True, check=True).stdout.split("\n")
    assert said[:2] == ["_course", "['new']"]
    assert said[2] == str((notebooks.ROOT/"data_samples").is_dir())
    assert (tmp_path/"mine"/"index.ipynb").exists() and (tmp_path/"mine"/"settings.ini").exists()
    kept = {f.name for f in (notebooks.ROOT/"rheumkit"/"_results").glob("*.csv")} if (notebooks.ROOT/"rheumkit"/"_results").is_dir() else set()
    assert kept == {f.name for f in (target/"rheumkit"/"_results").glob("*.csv")}


def test_terms_of_the_lessons_lead_to_the_glossary(root, tmp_path):
    from urllib.parse import unquote
    course.build_course(root, tmp_path/"course")
    glossary = json.loads((tmp_path/"course"/"glossary.ipynb").read_text(encoding="utf-8"))
    headings = {line[4:].replace(" ", "-") for cell in glossary["cells"] for line in cell["source"].splitlines() if line.startswith("### ")}
    assert len(headings) > 90
    lessons = [f for f in (tmp_path/"course").rglob("*.ipynb") if course.is_lesson(json.loads(f.read_text(encoding="utf-8")))]
    for file in lessons:
        text = "\n".join(c["source"] for c in json.loads(file.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "markdown")
        links = re.findall(r"\]\(([^)]*glossary\.ipynb)#([^)]+)\)", text)
        assert len(links) > 3 and len(links) == len(set(links)), file.name
        assert all((file.parent/path).resolve() == (tmp_path/"course"/"glossary.ipynb").resolve() and unquote(where) in headings for path, where in links), file.name

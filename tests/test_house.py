"The house itself: floors, style, import times, what must not stand in the repository, and what is made from what."
import re
import subprocess
import sys

import pytest


def run(*command, cwd): return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True)


def test_stairs_go_one_way(root):
    done = run("-c", "from importlinter.cli import lint_imports_command as go; go()", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr


def test_style(root):
    done = run("-m", "ruff", "check", "--output-format", "concise", cwd=root)
    assert done.returncode == 0, done.stdout


SECONDS = "import time, sys; start = time.perf_counter(); {what}; print(time.perf_counter() - start); print(*[m for m in {heavy} if m in sys.modules])"


@pytest.mark.parametrize("what, heavy, aim", [
    ("import rheumkit", ["torch", "numpy", "pandas"], .3),
    ("from rheumkit.all import *", ["fastai", "monai", "torchvision", "sklearn", "scipy", "matplotlib.pyplot", "ipywidgets", "pydicom"], 2),
    ("import rheumkit.cli", ["torch", "pandas", "matplotlib"], .5)])
def test_importing_is_quick(what, heavy, aim, root, artefacts):
    "What is heavy is not imported; the seconds (the best of three) are reported beside the aim, for they are the machine's as much as the kit's."
    tried = [run("-c", SECONDS.format(what=what, heavy=heavy), cwd=root) for _ in range(3)]
    assert all(t.returncode == 0 for t in tried), tried[0].stderr
    best = min(float(t.stdout.split("\n")[0]) for t in tried)
    (artefacts/f"import_{re.sub('[^a-z]+', '_', what)}.txt").write_text(f"{what}: {best:.3f} s (aim {aim} s)\n")
    print(f"{what}: {best:.3f} s")
    assert tried[0].stdout.split("\n")[1].split() == []


def tracked(root):
    "The text files of the repository, as git knows them (all files where there is no git)."
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else [p.relative_to(root).as_posix() for d in ("nbs", "rheumkit", "tests", "tools") for p in (root/d).rglob("*") if p.is_file()]
    for name in names:
        try: yield name, (root/name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError): continue


def test_nothing_here_depends_on_one_machine(root):
    "No absolute paths of a home, a temporary or a working folder, neither in code nor among the outputs."
    path = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|mnt|var/folders)/[\w.-]+|[A-Z]:\\\\Users")
    found = [f"{name}: {m[0]}" for name, text in tracked(root) for m in path.finditer(text)]
    assert not found


def test_readme_is_made_from_the_index(root):
    import readme
    assert [path for path, content in readme.pages().items() if not (root/path).exists() or (root/path).read_bytes() != content] == [], "run  make readme"


def test_the_front_door_leads_to_every_lesson(root):
    "With the minutes that the lesson itself states, added up."
    from rheumkit.core import course
    notebooks = course.notebooks_in(root/"nbs")
    index = "\n".join("".join(o.get("data", {}).get("text/markdown", "")) for c in notebooks["index.ipynb"]["cells"] for o in c.get("outputs", []))
    rows = re.findall(r"^\| \d+\. \| \[[^\]]+\]\(([^)]+)\) \|.*\| (\d*) \|$", index, re.M)
    listed = {path: minutes for path, minutes in rows}
    lessons = {path: str(course.heading(notebook)["minutes"]) for path, notebook in notebooks.items() if path != "index.ipynb" and course.is_lesson(notebook)}
    assert {path: listed.get(path) for path in lessons} == lessons, "run  python tools/notebooks.py run nbs/index.ipynb  and  python tools/readme.py"
    for table in index.split("| | Notebook |")[1:]:
        said = re.search(r"Minutes \((\d+) in all\)", table)
        if said: assert int(said[1]) == sum(int(m or 0) for _, m in re.findall(r"^\| (\d+)\. \|.*\| (\d*) \|$", table, re.M))


def test_samples_are_small_and_there(root):
    files = [f for f in (root/"data_samples").rglob("*") if f.is_file()]
    assert files and sum(f.stat().st_size for f in files) < 10_000_000


def test_command_line_answers(root):
    from rheumkit import cli
    assert {"lab", "demo", "doctor", "results"} <= set(re.findall(r"^    (\w+) ", cli.parser().format_help(), re.M))
    with pytest.raises(SystemExit): cli.main(["demo", "--table", "x.csv"])
    with pytest.raises(SystemExit): cli.main([])


def test_doctor_says_what_to_do(monkeypatch, capsys, tmp_path):
    from rheumkit import cli
    real = cli.version_of
    monkeypatch.setattr(cli, "version_of", lambda package: None if package in ("anywidget", "monai") else real(package))
    monkeypatch.setattr(cli.settings, "data_folder", tmp_path/"nowhere")
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"!!  monai .*\n.*pip install monai", said) and re.search(r"!!  widgets .*\n.*pip install anywidget", said) and "data_folder" in said


def test_lab_starts_on_the_index_and_calls_nobody():
    from pathlib import Path

    from rheumkit import cli
    said = cli.lab_command(Path("mine"), browser=False, port=8899)
    assert "--LabApp.default_url=/lab/tree/index.ipynb" in said and "--no-browser" in said and "--ServerApp.port=8899" in said
    assert "--LabApp.news_url=None" in said


def test_citation_and_package_have_one_version(root):
    import rheumkit
    assert re.search(r"^version: (.+)$", (root/"CITATION.cff").read_text(), re.M)[1] == rheumkit.__version__

"""Run, clean, export and check the notebooks in nbs/.

    python tools/notebooks.py run [notebook ...]     run from top to bottom in place, keep the outputs that belong in the repository
    python tools/notebooks.py clean [notebook ...]   the cleaning alone
    python tools/notebooks.py export                 notebooks -> modules in rheumkit/
    python tools/notebooks.py check                  are notebooks clean, and modules in step with them?
"""
import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
CELL_KEYS = {"tags", "nbgrader", "jupyter", "lines_to_next_cell"}   # the last is jupytext's, of notebooks that are written as scripts
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
WIDGET = "application/vnd.jupyter.widget-view+json"


def all_notebooks(nbs=ROOT/"nbs"):
    "Every notebook of the repository, in reading order."
    return sorted(f for f in nbs.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in f.relative_to(nbs).parts))


def environment():
    "What a notebook is run with: static twins instead of widgets, figures inside the page, this checkout, and threads that let go of a core while they wait."
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ | {"RHEUMKIT_STATIC": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONPATH": path,
                         "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def run(notebook, folder, timeout=600):
    "Run a notebook in a kernel of its own, in place in memory; returns the seconds to its first picture (None if it has none) and in all."
    from nbclient import NotebookClient
    start, first = time.monotonic(), None

    def done(cell, **_):
        nonlocal first
        if first is None and has_picture(cell): first = time.monotonic() - start
    client = NotebookClient(notebook, kernel_name="python3", timeout=timeout, resources={"metadata": {"path": str(folder)}}, on_cell_executed=done)
    client.execute(env=environment())   # its own kernel, which ends with it
    return first, time.monotonic() - start


def has_picture(cell):
    "Whether a cell has put out a picture."
    shown = [output.get("data", {}) for output in cell.get("outputs", [])]
    return any("image/png" in data or "<img" in str(data.get("text/html", "")) or "<svg" in str(data.get("text/html", "")) for data in shown)


def clean(notebook):
    "Keep of a notebook what belongs in the repository: no counters, no messages on stderr, no dead widgets, no metadata but the agreed."
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key in CELL_KEYS})
        if cell.cell_type != "code": continue
        cell.execution_count = None
        cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr") and WIDGET not in o.get("data", {})]
        for output in cell.outputs:
            if "execution_count" in output: output["execution_count"] = None
            if "metadata" in output: output["metadata"] = nbformat.from_dict({})
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def write(notebook, path):
    "Write a notebook in one stroke."
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, path)


def export(root=ROOT):
    "Notebooks -> modules, in a checkout at `root`."
    command = [sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"]
    subprocess.run(command, cwd=root, check=True, env=os.environ | {"PYTHONPATH": str(root)})


def out_of_step(root=ROOT):
    "Modules that differ from what their notebooks export, or have no notebook (or the other way round)."
    with tempfile.TemporaryDirectory() as there:
        fresh = Path(there)/"rheumkit"
        fresh.mkdir()
        for name in ("pyproject.toml", "settings.ini", "README.md"): shutil.copy(root/name, there)
        shutil.copytree(root/"nbs", Path(there)/"nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        shutil.copy(root/"rheumkit"/"__init__.py", fresh)
        export(Path(there))
        ours, theirs = ({f.relative_to(d).as_posix() for d in (folder,) for f in d.rglob("*.py")} for folder in (root/"rheumkit", fresh))
        ours = {f for f in ours if not f.startswith("_course/")}
        return sorted(f for f in ours | theirs if f not in ours or f not in theirs or not filecmp.cmp(root/"rheumkit"/f, fresh/f, shallow=False))


def is_clean(path):
    "Whether cleaning a notebook would change nothing."
    return nbformat.writes(clean(nbformat.read(path, 4))) == nbformat.writes(nbformat.read(path, 4))


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=["run", "clean", "export", "check"])
    asked.add_argument("notebooks", nargs="*", type=Path)
    said = asked.parse_args()
    paths = [p.resolve() for p in said.notebooks] or all_notebooks()
    if said.what == "export": export()
    if said.what in ("run", "clean"):
        for path in paths:
            notebook = nbformat.read(path, 4)
            first, seconds = run(notebook, path.parent) if said.what == "run" else (None, 0)
            write(clean(notebook), path)
            seen = "no picture" if first is None else f"first picture after {first:.1f} s"
            took = f"{seconds:.1f} s, {seen}, " if said.what == "run" else ""
            print(f"{path.relative_to(ROOT)}: {took}{path.stat().st_size/1e3:.0f} kB", flush=True)
    if said.what == "check":
        wrong = [f"{p.relative_to(ROOT)} is not clean: python tools/notebooks.py clean" for p in paths if not is_clean(p)]
        wrong += [f"rheumkit/{f} is not what its notebook exports: make export" for f in out_of_step()]
        print("\n".join(wrong) or "Notebooks are clean, modules in step.")
        sys.exit(bool(wrong))


if __name__ == "__main__": main()

"Sweeps: stopped, gone on, in parallel; kept tables and when they are stale."
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from rheumkit.core import sweeps

SCRIPT = textwrap.dedent("""
    import os, pathlib, sys
    from rheumkit.core.sweeps import sweep
    def demonstrate(dose, seed):
        "Leaves a mark for every call; waits to be killed at the third cell when asked to."
        marks = pathlib.Path("marks"); marks.mkdir(exist_ok=True)
        (marks/f"{dose}-{seed}-{os.getpid()}").touch()
        if sys.argv[1] == "wait" and (dose, seed) == (1, 0):
            print("waiting", flush=True); sys.stdin.read()
        return {"sum": dose + seed}
    table = sweep(demonstrate, {"dose": [0, 1]}, seeds=[0, 1], store="store", jobs=1, progress=False)
    print(table["sum"].tolist())
""")


def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
    (tmp_path/"run.py").write_text(SCRIPT)
    first = subprocess.Popen([sys.executable, "run.py", "wait"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline().strip() == "waiting"
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert len(list((tmp_path/"store").glob("*.json"))) == 2
    again = subprocess.run([sys.executable, "run.py", "go"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == "[0, 1, 1, 2]"
    second = [f.name for f in (tmp_path/"marks").iterdir() if not f.name.endswith(f"-{first.pid}")]
    assert sorted(name[:3] for name in second) == ["1-0", "1-1"], "finished cells were run again"


def test_parallel_gives_the_same_table_as_one_process(tmp_path):
    grid, seeds = {"dose": [0, 1, 2], "size": [10, 20]}, [0, 1]
    one, two = (sweeps.sweep(noisy_sum, grid, seeds, store=tmp_path/str(jobs), jobs=jobs, progress=False) for jobs in (1, 2))
    assert one.equals(two) and len(one) == 12
    assert not list(tmp_path.rglob("*.part"))


def noisy_sum(dose, size, seed):
    import numpy as np
    return {"value": float(np.random.default_rng([dose, size, seed]).random()), "seen": np.int64(size)}


def test_changed_code_is_run_again(tmp_path):
    def once(dose, seed): return {"value": dose}
    first = sweeps.sweep(once, {"dose": [1]}, [0], store=tmp_path, jobs=1, progress=False)
    def once(dose, seed): return {"value": 2*dose}
    second = sweeps.sweep(once, {"dose": [1]}, [0], store=tmp_path, jobs=1, progress=False)
    assert (first.value.item(), second.value.item()) == (1, 2)


def test_an_error_in_a_cell_is_not_swallowed(tmp_path):
    def wrong(dose, seed): raise RuntimeError("no patients in the test set")
    with pytest.raises(RuntimeError, match="no patients"): sweeps.sweep(wrong, {"dose": [1]}, [0], store=tmp_path, jobs=1, progress=False)
    assert not list(tmp_path.glob("*.json"))


def test_comments_do_not_make_a_result_stale_and_code_does():
    code = 'def f(x):\n    "Twice."\n    return 2*x  # two\n'
    assert sweeps.code_only(code) == sweeps.code_only('# new\ndef f(x):\n    """Doubled,\n    exactly."""\n\n    return 2*x\n')
    assert sweeps.code_only(code) != sweeps.code_only(code.replace("2*x", "3*x"))


def test_kept_results_are_whole_and_not_stale():
    "Every table in rheumkit/_results has its description, the seeds it says, and was made by the code that is here now."
    folder = sweeps.results_folder()
    tables = sorted(f.stem for f in folder.glob("*.csv")) if folder.is_dir() else []
    if not tables: pytest.skip("no results are kept yet")
    assert tables == sorted(f.stem for f in folder.glob("*.json"))
    for name in tables:
        about = json.loads((folder/f"{name}.json").read_text())
        assert len(sweeps.results(name)) == about["rows"] and set(sweeps.results(name)["seed"]) == set(about["seeds"])
    assert [name for name in tables if sweeps.stale(name)] == [], "run  make results"

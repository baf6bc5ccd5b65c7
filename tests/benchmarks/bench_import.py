"""How long importing takes, in a fresh interpreter each time (best of five), and what a notebook's first line brings in.

    python tests/benchmarks/bench_import.py
"""
import subprocess
import sys

SECONDS = "import time; start = time.perf_counter(); {what}; print(time.perf_counter() - start)"
AIMS = {"pass": None, "import rheumkit": .3, "import rheumkit.cli": None, "import torch": None, "from rheumkit.all import *": 2, "import torchvision": None,
        "import sklearn.metrics": None, "from fastai.vision.all import *": None, "import monai.networks.nets": None}


def best(what, times=5):
    "The shortest of several tries, seconds."
    return min(float(subprocess.run([sys.executable, "-c", SECONDS.format(what=what)], capture_output=True, text=True, check=True).stdout) for _ in range(times))


if __name__ == "__main__":
    print(f"| {'what':<32} | seconds | aim |\n|{'-'*34}|---------|-----|")
    for what, aim in AIMS.items(): print(f"| {what:<32} | {best(what):7.3f} | {aim or '':>3} |", flush=True)

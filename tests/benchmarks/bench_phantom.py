"""How fast every recipe of the phantom renders: one process, and two processes at once.

    python tests/benchmarks/bench_phantom.py [--seconds 4] [--recipes knee-radiograph ...]

A radiograph is also asked for at 128 × 128 and an MRI at 24 × 96 × 96, the sizes at which the aims are stated (300 images, 20 volumes, 100 ultrasound frames a second on two cores).
"""
import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd
import torch

AIMS = {"DX": ((128, 128), 300.), "MR": ((24, 96, 96), 20.), "US": (None, 100.)}


def rate(name, size, seconds):
    "Images (or volumes) a second of this process, after a first one that warms up."
    torch.set_num_threads(1)
    from rheumkit.phantom.recipes import simulate
    cohort = simulate(name, patients=400, seed=1, size=size)
    cohort.pixels[0]
    start, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        cohort.pixels[done + 1]
        done += 1
    return done/(time.perf_counter() - start), done/(time.process_time() - cpu)


def main():
    from rheumkit.phantom.recipes import recipe
    from rheumkit.phantom.registry import where
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=float, default=4.)
    ask.add_argument("--recipes", nargs="*", default=list(where))
    a = ask.parse_args()
    rows = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for name in a.recipes:
            r = recipe(name)
            asked, aim = AIMS.get(r.modality, (None, None))
            if asked and len(asked) != len(r.size): asked, aim = None, None
            frames = r.size[0] if r.modality == "US" and len(r.size) == 3 else 1
            both = [f.result() for f in [pool.submit(rate, name, asked, a.seconds) for _ in range(2)]]
            rows.append({"recipe": name, "size": "×".join(map(str, asked or r.size)), "a second, two processes": frames*sum(b[0] for b in both), "a second of processor time": frames*sum(b[1] for b in both)/2, "aim": aim or ""})
            print(rows[-1], flush=True)
    print(pd.DataFrame(rows).round(1).to_string(index=False))


if __name__ == "__main__": main()

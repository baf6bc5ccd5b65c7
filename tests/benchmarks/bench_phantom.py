"""How fast every recipe of the phantom renders: one process, and two processes that start together.

    python tests/benchmarks/bench_phantom.py [--seconds 4] [--recipes knee-radiograph ...]

A radiograph is also asked for at 128 × 128 and an MRI at 24 × 96 × 96, the sizes at which the aims are stated (300 images, 20 volumes, 100 ultrasound frames a second on two cores).
"""
import argparse
import time
from multiprocessing import get_context

import pandas as pd
import torch

AIMS = {"DX": ((128, 128), 300.), "MR": ((24, 96, 96), 20.), "US": (None, 100.)}


def rate(name, size, seconds, ready=None):
    "Images (or volumes) a second by the clock and by processor time, after two that warm up; goes round and round when it has seen them all."
    torch.set_num_threads(1)
    from rheumkit.phantom.recipes import simulate
    cohort = simulate(name, patients=100, seed=1, size=size)
    for i in range(2): cohort.pixels[i]
    if ready is not None: ready.wait(300)
    start, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds or not done:
        cohort.pixels[(done + 2) % len(cohort)]
        done += 1
    return done/(time.perf_counter() - start), done/(time.process_time() - cpu)


def work(ready, tasks, answers):
    "A process that measures one recipe after the other, each together with its twin."
    for name, size, seconds in iter(tasks.get, None):
        try: answers.put(rate(name, size, seconds, ready))
        except Exception as error:
            ready.abort()
            answers.put(error)


def together(name, size, seconds, context):
    "Sum of the rates of two processes, and what one image costs each of them."
    ready, answers, queues = context.Barrier(2), context.Queue(), [context.Queue() for _ in range(2)]
    for q in queues: q.put((name, size, seconds)); q.put(None)
    workers = [context.Process(target=work, args=(ready, q, answers)) for q in queues]
    for w in workers: w.start()
    found = [answers.get() for _ in workers]
    for w in workers: w.join()
    for error in found:
        if isinstance(error, Exception): raise error
    return sum(f[0] for f in found)


def main():
    from rheumkit.phantom.recipes import recipe
    from rheumkit.phantom.registry import where
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=float, default=4.)
    ask.add_argument("--recipes", nargs="*", default=list(where))
    a = ask.parse_args()
    context, rows = get_context("spawn"), []
    for name in a.recipes:
        r = recipe(name)
        asked, aim = AIMS.get(r.modality, (None, None))
        if asked and len(asked) != len(r.size): asked, aim = None, None
        frames = r.size[0] if r.modality == "US" and len(r.size) == 3 else 1
        clock, cpu = rate(name, asked, a.seconds)
        two = frames*together(name, asked, a.seconds, context)
        rows.append({"recipe": name, "size": "×".join(map(str, asked or r.size)), "ms of processor time": 1000/(frames*cpu), "a second, one process": frames*clock,
                     "a second, two processes": two, "aim": f"{aim:.0f} {'met' if two >= aim else 'missed'}" if aim else ""})
        print(name, f"{two:.1f} a second", flush=True)
    print(pd.DataFrame(rows).round(1).to_string(index=False))


if __name__ == "__main__": main()

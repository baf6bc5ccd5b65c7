"""One training alone and two at once on the same cores, with threads that wait awake (as torch's do where nothing else is said) and asleep (what the command `rheumkit` asks for).

    python tests/benchmarks/bench_company.py [--steps 40]

A learner meets this with two notebooks that train at the same time. Milliseconds a step of a batch of 28 images, 64×64; each row is one process.
"""
import argparse
import os
import subprocess
import sys

import pandas as pd

from rheumkit.cli import share_the_cores

STEPS = """
import sys, time, torch
from rheumkit.learning.network import small_network
torch.manual_seed(0)
network = small_network(1, 2).to(memory_format=torch.channels_last)
optimiser, images, classes = torch.optim.AdamW(network.parameters()), torch.randn(28, 1, 64, 64).to(memory_format=torch.channels_last), torch.arange(28)%2
def step():
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(network(images), classes).backward()
    optimiser.step()
for _ in range(5): step()
start = time.perf_counter()
for _ in range(int(sys.argv[1])): step()
print((time.perf_counter()-start)/int(sys.argv[1])*1e3)
"""


def milliseconds(processes, steps, environment):
    "Milliseconds a step in each of so many trainings that start together."
    running = [subprocess.Popen([sys.executable, "-c", STEPS, str(steps)], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    said = [one.communicate()[0] for one in running]
    if any(one.returncode for one in running): sys.exit("a training ended with an error; it is printed above")
    return [float(text) for text in said]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    steps = parser.parse_args().steps
    awake = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    os.environ.pop("OMP_WAIT_POLICY", None)
    share_the_cores()
    rows = [{"threads wait": name, "trainings at once": processes, "ms a step": ms}
            for processes in (1, 2) for name, environment in (("awake", awake), ("asleep", awake | {"OMP_WAIT_POLICY": os.environ["OMP_WAIT_POLICY"]}))
            for _ in range(3 if processes == 1 else 1) for ms in milliseconds(processes, steps, environment)]
    print(pd.DataFrame(rows).round(1).to_string(index=False))


if __name__ == "__main__": main()

"""Training on real knee radiographs: the kit's learner beside fastai's usual loaders with ResNet-18 and MONAI's CacheDataset with DenseNet-121.

    RHEUMKIT_REAL=... python tests/benchmarks/bench_training.py [--seeds 3] [--epochs 50] [--peer-epochs 12] [--peer-seconds 900]

Four fifths of the patients train, the rest are held back. Everyone is judged on the held-back knees after every epoch, and the clock stands still meanwhile;
the last table says after how many seconds of training each quadratic kappa was first reached. What a peer did not reach within its budget is a lower bound (">"),
never an extrapolation. Wall and processor seconds are both printed, since a busy machine stretches the wall.
"""
import argparse
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback, CancelFitException

from rheumkit.images.cohort import Cohort
from rheumkit.learning.metrics import auc, quadratic_kappa
from rheumkit.learning.training import learner, predictions

MARKS = (.5, .6, .65, .7, .75)


class Clock:
    "Seconds of training, wall and processor; the curve of what was reached when."
    def __init__(self, name, target, seconds=float("inf")):
        self.name, self.target, self.seconds, self.curve, self.spent = name, np.asarray(target), seconds, [], np.zeros(2)
        self.go()

    def go(self): self.start = np.array([time.perf_counter(), time.process_time()])
    def stop(self): self.spent += np.array([time.perf_counter(), time.process_time()]) - self.start
    def judge(self, p):
        "Kappa of the expected grade, rounded, and AUC of grade 2 or more, from probabilities (N, 5); True when the budget is spent."
        kappa, area = quadratic_kappa(self.target, (p @ np.arange(5)).round()), auc(self.target >= 2, p[:, 2:].sum(1))
        self.curve.append({"epoch": len(self.curve)+1, "kappa": float(kappa), "auc": float(area), "wall_s": self.spent[0], "cpu_s": self.spent[1]})
        print(self.name, {k: round(v, 3) for k, v in self.curve[-1].items()}, flush=True)
        return self.spent[0] > self.seconds
    def until(self, kappa, which="wall_s"):
        reached = [r[which] for r in self.curve if r["kappa"] >= kappa]
        return f"{reached[0]:.0f}" if reached else f"> {self.curve[-1][which]:.0f}"


class Judged(Callback):
    "Judge after every epoch, with the clock stopped."
    order = 90                       # after the validation, for which the kit puts its averaged weights in

    def __init__(self, clock, ask): self.clock, self.ask = clock, ask
    def after_epoch(self):
        self.clock.stop()
        done = self.clock.judge(self.ask())
        self.clock.go()
        if done: raise CancelFitException()


def probabilities(answer): return answer[[f"p{i}" for i in range(5)]].to_numpy()


def ours(splits, seed, epochs, lr):
    clock = Clock(f"rheumkit, seed {seed}", splits.test.table["kl"])
    learn = learner(SimpleNamespace(train=splits.train, valid=None), "kl", task="grade", seed=seed, mirror={"side": "L"})
    averaged = next(c for c in learn.cbs if type(c).__name__ == "Averaged")

    def ask():                       # the averaged weights, as at the end of the training
        averaged.before_validate()
        p = probabilities(predictions(learn, splits.test))
        averaged.after_validate()
        return p
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, lr, cbs=Judged(clock, ask))
    clock.stop()
    clock.curve.append(clock.curve[-1] | {"wall_s": clock.spent[0], "cpu_s": clock.spent[1]})
    print("asked five times, of slightly shifted copies:")
    clock.judge(probabilities(predictions(learn, splits.test, shifts=5)))
    return clock


def fastai_resnet(splits, root, epochs, seconds):
    from fastai.vision.all import ImageDataLoaders, Resize, aug_transforms, resnet18, vision_learner
    frame = pd.concat([splits.train.table.assign(valid=False), splits.test.table.assign(valid=True)])[["image", "kl", "valid"]]
    clock = Clock("fastai ImageDataLoaders + resnet18", splits.test.table["kl"], seconds)
    loaders = ImageDataLoaders.from_df(frame, root, fn_col=0, label_col=1, valid_col=2, bs=64, item_tfms=Resize(112), batch_tfms=aug_transforms(do_flip=False), num_workers=0)
    learn = vision_learner(loaders, resnet18, pretrained=False)
    learn.unfreeze()
    test = loaders.test_dl(frame[frame.valid])

    def ask():
        learn.model.eval()
        with torch.inference_mode(): return torch.cat([learn.model(x).softmax(1) for (x,) in test]).numpy()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 1e-3, cbs=Judged(clock, ask))
    return clock


def monai_densenet(splits, root, epochs, seconds):
    from monai.data import CacheDataset, DataLoader
    from monai.networks.nets import DenseNet121
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, RandAffined, ScaleIntensityd
    clock = Clock("MONAI CacheDataset + DenseNet121", splits.test.table["kl"], seconds)
    read = [LoadImaged("image"), EnsureChannelFirstd("image"), ScaleIntensityd("image")]
    change = [RandAffined("image", prob=1, rotate_range=.17, scale_range=.1, translate_range=7, padding_mode="border")]
    def files(cohort): return [{"image": str(root / r.image), "kl": int(r.kl)} for r in cohort.table.itertuples()]
    train = DataLoader(CacheDataset(files(splits.train), Compose(read + change), num_workers=1, progress=False), batch_size=64, shuffle=True)
    test = DataLoader(CacheDataset(files(splits.test), Compose(read), num_workers=1, progress=False), batch_size=64)
    torch.manual_seed(0)
    network = DenseNet121(2, 1, 5)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=epochs*len(train))
    for _ in range(epochs):
        network.train()
        for batch in train:
            loss = torch.nn.functional.cross_entropy(network(batch["image"].as_tensor()), batch["kl"])
            optimizer.zero_grad(); loss.backward(); optimizer.step(); schedule.step()
        clock.stop()
        network.eval()
        with torch.inference_mode(): done = clock.judge(torch.cat([network(batch["image"].as_tensor()).softmax(1) for batch in test]).numpy())
        clock.go()
        if done: break
    return clock


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--epochs", type=int, default=50)
    ask.add_argument("--lr", type=float, default=1e-2)
    ask.add_argument("--split", type=int, default=0, help="seed of the split by patient")
    ask.add_argument("--peer-epochs", type=int, default=12, help="0 leaves the peers out")
    ask.add_argument("--peers", type=int, default=2, help="1 leaves MONAI out")
    ask.add_argument("--peer-seconds", type=float, default=900)
    ask.add_argument("--threads", type=int, default=2)
    a = ask.parse_args()
    if not os.environ.get("RHEUMKIT_REAL"): return print("skipped: RHEUMKIT_REAL is not set, so there are no real knees here")
    torch.set_num_threads(a.threads)
    root = Path(os.environ["RHEUMKIT_REAL"]) / "knees"
    cohort = Cohort.from_table(root / "knees.csv", labels=["kl"])
    splits = cohort.split(seed=a.split, fractions=(.8, 0, .2), stratify="kl")
    clocks = [ours(splits, seed, a.epochs, a.lr) for seed in range(a.seeds)]
    last = pd.DataFrame([c.curve[-1] for c in clocks])
    if a.seeds: print(f"\n{len(splits.train)} knees to train, {len(splits.test)} held back; {a.seeds} seeds, asked five times: kappa {last.kappa.mean():.3f} ± {last.kappa.std():.3f} (aim 0.75), "
          f"AUC {last.auc.mean():.3f} ± {last.auc.std():.3f} (aim 0.91), {last.wall_s.mean():.0f} s of wall and {last.cpu_s.mean():.0f} s of processor time each\n")
    for peer in (fastai_resnet, monai_densenet)[:a.peers] if a.peer_epochs else (): clocks.append(peer(splits, root, a.peer_epochs, a.peer_seconds))
    rows = [{"what": c.name, "epochs": c.curve[-1]["epoch"], "kappa": c.curve[-1]["kappa"], "auc": c.curve[-1]["auc"], "s an epoch": c.curve[0]["wall_s"],
             **{f"s to {m}": c.until(m) for m in MARKS}, "processor s to 0.6": c.until(.6, "cpu_s")} for c in clocks]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__": main()

"""Training on real knee radiographs: the kit's learner beside fastai's usual loaders with ResNet-18 and MONAI's CacheDataset with DenseNet-121.

    RHEUMKIT_REAL=... python tests/benchmarks/bench_training.py [--seeds 3] [--epochs 50] [--peer-seconds 120]

Four fifths of the patients train, the rest test. Peers get a budget of seconds; a peer that has not reached the kit's kappa by then gets a lower bound
(">"), never an extrapolated time. Wall and processor seconds are both printed, since a busy machine stretches the wall."""
import argparse
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from rheumkit.images.cohort import Cohort
from rheumkit.learning.metrics import auc, quadratic_kappa
from rheumkit.learning.training import fit, learner, predictions


def scores(target, p):
    return quadratic_kappa(target, p @ np.arange(5)), auc(target >= 2, p[:, 2:].sum(1))


def row(name, seed, clock, epochs, images, target, p):
    wall, cpu = time.perf_counter() - clock[0], time.process_time() - clock[1]
    kappa, area = scores(target, p)
    result = {"what": name, "seed": seed, "epochs": epochs, "kappa": kappa, "auc": area, "wall_s": wall, "cpu_s": cpu, "images_per_s": images * epochs / wall}
    print({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}, flush=True)
    return result


def ours(splits, seed, epochs, lr):
    clock = time.perf_counter(), time.process_time()
    learn = learner(SimpleNamespace(train=splits.train, valid=None), "kl", task="grade", seed=seed)
    with learn.no_bar(), learn.no_logging(): fit(learn, epochs, lr)
    answer = predictions(learn, splits.test)
    return row("rheumkit learner", seed, clock, epochs, len(splits.train), answer.target.to_numpy(), answer[[f"p{i}" for i in range(5)]].to_numpy())


def until(name, epoch, predict, images, target, kappa, seconds):
    "Train epoch by epoch until the kappa or the budget is reached (one epoch at least)."
    clock, done = (time.perf_counter(), time.process_time()), 0
    while True:
        epoch()
        done += 1
        result = row(name, 0, clock, done, images, target, predict())
        result["reached"] = bool(result["kappa"] >= kappa)
        if result["reached"] or result["wall_s"] > seconds: return result


def fastai_resnet(splits, root, kappa, seconds):
    from fastai.vision.all import ImageDataLoaders, Resize, resnet18, vision_learner
    frame = pd.concat([splits.train.table.assign(valid=False), splits.test.table.assign(valid=True)])[["image", "kl", "valid"]]
    loaders = ImageDataLoaders.from_df(frame, root, fn_col=0, label_col=1, valid_col=2, bs=64, item_tfms=Resize(112), num_workers=0)
    learn = vision_learner(loaders, resnet18, pretrained=False)
    learn.unfreeze()
    def epoch():
        with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    def predict():
        with learn.no_bar(): return learn.get_preds(dl=loaders.test_dl(frame[frame.valid]))[0].numpy()
    return until("fastai ImageDataLoaders + resnet18", epoch, predict, len(splits.train), splits.test.table["kl"].to_numpy(), kappa, seconds)


def monai_densenet(splits, root, kappa, seconds):
    from monai.data import CacheDataset, DataLoader
    from monai.networks.nets import DenseNet121
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, RandAffined, ScaleIntensityd
    read = [LoadImaged("image"), EnsureChannelFirstd("image"), ScaleIntensityd("image")]
    change = [RandAffined("image", prob=1, rotate_range=.17, scale_range=.1, translate_range=7, padding_mode="border")]
    def files(cohort): return [{"image": str(root / r.image), "kl": int(r.kl)} for r in cohort.table.itertuples()]
    train = DataLoader(CacheDataset(files(splits.train), Compose(read + change), num_workers=1, progress=False), batch_size=64, shuffle=True)
    test = DataLoader(CacheDataset(files(splits.test), Compose(read), num_workers=1, progress=False), batch_size=64)
    torch.manual_seed(0)
    network = DenseNet121(2, 1, 5)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    def epoch():
        network.train()
        for batch in train:
            loss = torch.nn.functional.cross_entropy(network(batch["image"].as_tensor()), batch["kl"])
            optimizer.zero_grad(); loss.backward(); optimizer.step()
    def predict():
        network.eval()
        with torch.inference_mode(): return torch.cat([network(batch["image"].as_tensor()).softmax(1) for batch in test]).numpy()
    return until("MONAI CacheDataset + DenseNet121", epoch, predict, len(splits.train), splits.test.table["kl"].to_numpy(), kappa, seconds)


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--epochs", type=int, default=50)
    ask.add_argument("--lr", type=float, default=3e-3)
    ask.add_argument("--peer-seconds", type=float, default=120)
    ask.add_argument("--threads", type=int, default=2)
    a = ask.parse_args()
    if not os.environ.get("RHEUMKIT_REAL"): sys.exit("skipped: RHEUMKIT_REAL is not set, so there are no real knees here")
    torch.set_num_threads(a.threads)
    root = Path(os.environ["RHEUMKIT_REAL"]) / "knees"
    cohort = Cohort.from_table(root / "knees.csv", labels=["kl"])
    splits = cohort.split(seed=0, fractions=(.8, 0, .2), stratify="kl")
    table = [ours(splits, seed, a.epochs, a.lr) for seed in range(a.seeds)]
    kappa = float(np.mean([r["kappa"] for r in table]))
    print(f"mean of {a.seeds} seeds: kappa {kappa:.3f} (aim 0.75), AUC {np.mean([r['auc'] for r in table]):.3f} (aim 0.91), {np.mean([r['wall_s'] for r in table]):.0f} s")
    for peer in (fastai_resnet, monai_densenet) if a.peer_seconds > 0 else (): table.append(peer(splits, root, kappa, a.peer_seconds))
    result = pd.DataFrame(table)
    result["time to the kit's mean kappa"] = [("" if r.get("reached", True) else "> ") + f"{r['wall_s']:.0f} s" for r in table]
    print(result.round(3).to_string(index=False))


if __name__ == "__main__": main()

"""From the hand to the eye: milliseconds from an input event to the new pixels, in JupyterLab in Chromium, against `interact` with matplotlib.

    python tests/benchmarks/bench_widgets.py

Every row is one widget: the median and the 90th percentile over the steps of a drag, for pictures that were never drawn before (cold) and when one goes back over them (warm).
An event counts as answered when the picture has changed, is decoded, and two frames of the browser have passed; for the painter, which draws in the browser, also when its canvas is drawn.
"""
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1]/"browser")]
from driving import CHROMIUM, FLAGS, open_notebook, run_all, scroll_to, served  # noqa: E402

CELLS = {"setup": """from rheumkit.all import *
import ipywidgets, matplotlib.pyplot as plt
knees = simulate("knee-radiograph", patients=1, seed=1)
image = knees.pixels[0][0]
def histogram(bars=10):
    fig, ax = plt.subplots(figsize=(5, 3)); ax.hist(image.flatten().numpy(), bars); ax.set(xlabel="grey level", ylabel="pixels")
    return fig
def windowed(centre=.5): return ((image - centre)/.4 + .5).clamp(0, 1)
def plain(bars=10):
    histogram(bars); plt.show()""",
         "explorer, array": "explore(windowed, alt='A knee.', centre=(0., 1., .01, .5))",
         "explorer, matplotlib": "explore(histogram, alt='Grey levels of a knee.', bars=(2, 101, 1, 50))",
         "interact, matplotlib": "ipywidgets.interact(plain, bars=ipywidgets.IntSlider(50, 2, 101))\nNone",
         "volume, slice": "scroll(np.random.default_rng(0).random((60, 256, 256)), alt='Noise.')",
         "kernel painter": "paint_kernel(image, alt='A knee.', presets={'as it is': [[0, 0, 0], [0, 1, 0], [0, 0, 0]]})"}

FRAME = "const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
DRAG = "async ([input, image, values]) => {" + FRAME + """
    const out = [];
    for (const value of values) {
        const before = image.src, start = performance.now();
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
        while (image.src === before) await new Promise(r => setTimeout(r, 1));
        await image.decode();
        await frames();
        out.push(performance.now() - start);
        await new Promise(r => setTimeout(r, 30));
    }
    return out; }"""
DRAWN = "async ([input, canvas, values]) => {" + FRAME + """
    const out = [];
    for (const value of values) {
        const start = performance.now();
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
        await frames();
        out.push(performance.now() - start);
    }
    return out; }"""
PAINT = "async ([cells, count]) => {" + FRAME + """
    const out = [];
    for (let k = 0; k < count; k++) {
        const start = performance.now();
        cells.children[k % 9].focus();
        cells.children[k % 9].dispatchEvent(new KeyboardEvent("keydown", { key: String(k % 5), bubbles: true }));
        await frames();
        out.push(performance.now() - start);
    }
    return out; }"""
UNTIL_DRAWN = """async ([cells, count]) => {
    const out = [];
    for (let k = 0; k < count; k++) {
        await new Promise(r => setTimeout(r, 20 + 17*Math.random()));
        const cell = cells ? cells.children[k % 9] : null;
        if (cell) cell.focus();
        const start = performance.now();
        if (cell) cell.dispatchEvent(new KeyboardEvent("keydown", { key: String(k % 5), bubbles: true }));
        await new Promise(requestAnimationFrame);          // asked for after the painter's own, so it comes after its drawing
        out.push(performance.now() - start);
    }
    return out; }"""
INTERACT = "async ([area, handle]) => {" + FRAME + """
    const out = [];
    for (let k = 0; k < 30; k++) {
        const start = performance.now();
        const seen = new Promise(done => { const watch = new MutationObserver(() => { const i = area.querySelector("img"); if (i && i !== last) { watch.disconnect(); done(i); } }); const last = area.querySelector("img"); watch.observe(area, { childList: true, subtree: true, attributes: true }); });
        handle.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", keyCode: 39, bubbles: true }));
        await (await seen).decode();
        await frames();
        out.push(performance.now() - start);
        await new Promise(r => setTimeout(r, 30));
    }
    return out; }"""


def row(name, cold, warm=None):
    said = " ".join(f"{word} {np.median(t):5.0f} ({np.percentile(t, 90):5.0f})" for word, t in (("cold", cold), ("warm", warm)) if t is not None)
    print(f"{name:24} {said}", flush=True)


def main():
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as place, served(Path(place), Path(place)/"lab.log") as lab, sync_playwright() as playwright:
        cells = [{"cell_type": "code", "id": f"cell-{k}", "metadata": {}, "source": s, "outputs": [], "execution_count": None} for k, s in enumerate(CELLS.values())]
        kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        (lab.folder/"bench.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}))
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1400, "height": 3000})
        page.set_default_timeout(120_000)
        open_notebook(page, lab, "bench.ipynb")
        run_all(page)
        print("milliseconds from input to pixels: median (90th percentile); two frames of the browser, about 33 ms at 60 Hz, are part of each")
        for name, which in (("explorer, array", 0), ("explorer, matplotlib", 1)):
            scroll_to(page, ".rk:has(img)")
            box = page.locator(".rk:has(img)").nth(which)
            input_, image = box.locator("input[type=range]").element_handle(), box.locator("img").element_handle()
            values = list(range(55, 95)) if which == 0 else list(range(50, 90))
            cold = page.evaluate(DRAG, [input_, image, values])
            row(name, cold, page.evaluate(DRAG, [input_, image, values[-2::-1]]))
        area = page.locator(".widget-interact .jp-OutputArea, .widget-interact .widget-output").first
        row("interact, matplotlib", page.evaluate(INTERACT, [area.element_handle(), page.locator(".widget-interact .noUi-handle").first.element_handle()]))
        box = page.locator(".rk:has(.rk-frame)")
        row("volume, slice", page.evaluate(DRAWN, [box.locator("input[type=range]").first.element_handle(), box.locator("canvas").element_handle(), list(range(60))]))
        row("kernel painter", page.evaluate(PAINT, [page.locator(".rk-board").element_handle(), 45]))
        row("nothing (two frames)", page.evaluate("async () => {" + FRAME + "const out = []; for (let k = 0; k < 30; k++) { const s = performance.now(); await frames(); out.push(performance.now() - s); } return out; }"))
        print("from a key until the canvas is drawn (on the screen with the next refresh), beside the same wait without a key")
        row("kernel painter", page.evaluate(UNTIL_DRAWN, [page.locator(".rk-board").element_handle(), 120]))
        row("nothing (one frame)", page.evaluate(UNTIL_DRAWN, [None, 120]))
        chromium.close()


if __name__ == "__main__": main()

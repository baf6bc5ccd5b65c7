"The widgets in a real JupyterLab: mouse, keys and wheel move them, a screen reader is told, axe finds nothing serious, and what they compute is right."
import json

import numpy as np
import pytest
from driving import complaints, errors_in, open_notebook, run_all, scroll_to

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = ["""from rheumkit.all import *
rows, columns = np.mgrid[:60, :80]
picture_of = np.sin(rows/7)*np.cos(columns/9)/2 + .5
volume = np.stack([np.full((40, 50), 10.*k) + np.arange(50)*.1 for k in range(12)])""",
         """import matplotlib.pyplot as plt
def drawn(width=3, negative=False):
    fig, ax = plt.subplots(figsize=(4, 3)); ax.hist(np.random.default_rng(0).normal(size=500), width); ax.set_title(f"{width} {negative}")
    return fig
live = explore(drawn, alt="A histogram of numbers drawn at random.", width=(3, 30, 1), negative=False)
live""",
         """predict("Which way?", ["Up", "Down", "Sideways"])""",
         """asked = quiz([{"question": "What is dark?", "answers": {"Air": "Yes, it stops nothing.", "Bone": "No, it stops much.", "Metal": "No, most of all."}, "right": 0}])
asked""",
         """stack = scroll(volume, alt="Twelve grey planes, brighter from one to the next.", unit="HU", simulated=True, spacing=(3, 1, 1), orientation=("R", "L"))
stack""",
         """painter = paint_kernel(picture_of, alt="Waves.", presets={"as it is": [[0, 0, 0], [0, 1, 0], [0, 0, 0]], "rises to the right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]})
painter"""]
NAME = "widgets.ipynb"


@pytest.fixture
def opened(page, lab):
    "A notebook with one widget of each kind, run."
    cells = [{"cell_type": "code", "id": f"cell-{k}", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for k, source in enumerate(CELLS)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    (lab.folder/NAME).write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}))
    open_notebook(page, lab, NAME)
    run_all(page)
    assert errors_in(page, lab, NAME) == []
    yield page
    assert complaints(page) == []


def test_every_widget_moves(opened, artefacts):
    explorer_moves(opened, artefacts)
    quiz_explains(opened)
    volume_scrolls(opened, artefacts)
    kernel_paints(opened, artefacts)
    nothing_serious(opened)


def explorer_moves(page, artefacts):
    slider = scroll_to(page, ".rk:has(img) input[type=range]")
    box = page.locator(".rk:has(img)").first
    image, seen = box.locator("img"), []
    for key, value in (("ArrowRight", "4"), ("End", "30"), ("Home", "3")):
        slider.focus()
        page.keyboard.press(key)
        page.wait_for_function("([i, v]) => i.alt.includes(`width = ${v},`)", arg=[image.element_handle(), value])
        seen.append(image.get_attribute("src"))
        assert slider.get_attribute("aria-valuetext") == value
    assert len(set(seen)) == 3
    edge = slider.bounding_box()                                    # and by the mouse
    page.mouse.move(edge["x"] + 8, edge["y"] + edge["height"]/2)
    page.mouse.down()
    page.mouse.move(edge["x"] + edge["width"]*.6, edge["y"] + edge["height"]/2, steps=8)
    page.mouse.up()
    page.wait_for_function("i => /width = (1[5-9]|2\\d),/.test(i.alt)", arg=image.element_handle())
    box.locator("input[type=checkbox]").focus()
    page.keyboard.press("Space")
    page.wait_for_function("i => i.alt.includes('negative = yes')", arg=image.element_handle())
    page.screenshot(path=artefacts/"widget_explorer.png")
    page.wait_for_function("p => p.textContent.includes('Now: width')", arg=box.locator("p[aria-live]").element_handle())


def quiz_explains(page):
    scroll_to(page, ".rk fieldset >> text=What is dark?")
    field = page.locator(".rk fieldset", has_text="What is dark?")
    field.locator("label", has_text="Bone").click()
    assert "Not this one. No, it stops much." in field.get_by_role("status").inner_text()
    page.keyboard.press("ArrowDown")                                # the keys of any radio button
    page.keyboard.press("ArrowDown")
    for _ in range(3):
        if "Right." in field.get_by_role("status").inner_text(): break
        page.keyboard.press("ArrowDown")
    assert "Right. Yes, it stops nothing." in field.get_by_role("status").inner_text()


def greys(canvas): return np.array(canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"), np.uint8).reshape(-1, 4)[:, 0]


def volume_scrolls(page, artefacts):
    frame = scroll_to(page, ".rk-frame")
    canvas = frame.locator("canvas")
    assert frame.get_attribute("aria-valuetext") == "slice 7 of 12"
    box = frame.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    before = greys(canvas).mean()
    page.mouse.wheel(0, 120)
    page.wait_for_function("f => f.getAttribute('aria-valuetext') === 'slice 8 of 12'", arg=frame.element_handle())
    assert greys(canvas).mean() > before
    page.screenshot(path=artefacts/"widget_volume.png")
    frame.focus()
    for key, slice_ in (("ArrowUp", 7), ("End", 12), ("PageUp", 7), ("Home", 1)):
        page.keyboard.press(key)
        page.wait_for_function("([f, s]) => f.getAttribute('aria-valuenow') === String(s)", arg=[frame.element_handle(), slice_])
    narrow = greys(canvas).std()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 295, steps=6)         # narrower, and darker in the middle
    page.mouse.up()
    page.wait_for_timeout(100)
    assert greys(canvas).std() > narrow
    assert "width" in page.locator(".rk:has(.rk-frame) .rk-said").inner_text()


def kernel_paints(page, artefacts):
    from rheumkit.learning.convolution import convolve
    import torch
    scroll_to(page, ".rk-board")
    box = page.locator(".rk:has(.rk-board)")
    canvas = box.locator("canvas")
    image = torch.from_numpy(np.sin(np.mgrid[:60, :80][0]/7)*np.cos(np.mgrid[:60, :80][1]/9)/2 + .5).float()

    def shown(weights):
        out = convolve(image, torch.tensor(weights, dtype=torch.float32).view(3, 3), padding=1).numpy()
        return (127.5 + 127.5*out/np.abs(out).max() if (out < 0).any() else 255*out/np.abs(out).max()).ravel()
    box.get_by_role("button", name="rises to the right").click()
    page.wait_for_timeout(100)
    assert np.abs(greys(canvas) - shown([-1, 0, 1, -2, 0, 2, -1, 0, 1])).max() <= 1.01
    box.get_by_role("button", name="as it is").click()
    box.get_by_role("button", name="paint with −2").click()
    cells = box.get_by_role("spinbutton")
    start, end = (cells.nth(k).bounding_box() for k in (0, 2))
    page.mouse.move(start["x"] + 20, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(end["x"] + 20, end["y"] + 20, steps=6)          # a stroke over the upper row
    page.mouse.up()
    page.wait_for_timeout(100)
    assert np.abs(greys(canvas) - shown([-2, -2, -2, 0, 1, 0, 0, 0, 0])).max() <= 1.01
    cells.nth(4).focus()
    for key in ("ArrowDown", "+", "+", "ArrowRight", "-"): page.keyboard.press(key)
    page.wait_for_function("b => b.textContent.includes('0 2 −1')", arg=box.locator("p[aria-live]").element_handle())
    assert cells.nth(7).get_attribute("aria-valuenow") == "2" and cells.nth(8).get_attribute("aria-valuenow") == "-1"
    page.screenshot(path=artefacts/"widget_kernel.png")


FAILS = """def halves(number=1):
    if number == 3: raise ValueError("three cannot be halved")
    return np.full((20, 20), number, np.uint8)
picky = explore(halves, alt="A grey square.", number=(1, 6, 1))
picky"""


def test_a_picture_that_cannot_be_drawn_is_told_and_the_next_one_comes(page, lab, artefacts):
    "One setting of the knob raises an error: it is said beside the picture, the last picture stays, and moving on recovers, with keys and ahead of them."
    notebook = lab.folder/"fails.ipynb"
    cells = [{"cell_type": "code", "id": f"cell-{k}", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for k, source in enumerate(["from rheumkit.all import *", FAILS])]
    notebook.write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}))
    open_notebook(page, lab, notebook.name)
    run_all(page)
    assert errors_in(page, lab, notebook.name) == []
    slider = scroll_to(page, ".rk:has(img) input[type=range]")
    box = page.locator(".rk:has(img)").first
    image, said = box.locator("img"), box.locator("p[aria-live]")
    def at(number): page.wait_for_function("([i, n]) => i.alt.includes(`number = ${n}.`)", arg=[image.element_handle(), number])
    slider.focus()
    page.keyboard.press("ArrowRight")
    at(2)
    two = image.get_attribute("src")
    for _ in range(2):                                              # it fails again when one comes back to it
        page.keyboard.press("ArrowRight")                           # 3
        box.locator("p.rk-wrong", has_text="three cannot be halved").wait_for()
        assert "could not be drawn" in said.inner_text() and image.get_attribute("src") == two and "number = 2." in image.get_attribute("alt")
        page.keyboard.press("ArrowLeft")                            # back to what was there
        page.wait_for_function("p => p.dataset.wrong === '0' && p.textContent.includes('Now: number = 2.')", arg=said.element_handle())
        assert not box.locator("p.rk-wrong").count()
    page.keyboard.press("ArrowRight")
    box.locator("p.rk-wrong").wait_for()
    page.screenshot(path=artefacts/"widget_explorer_error.png")
    for number in (4, 5, 6):                                        # on beyond the one that fails
        page.keyboard.press("ArrowRight")
        at(number)
        assert not box.locator("p.rk-wrong").count() and image.get_attribute("src") != two
    page.wait_for_function("p => p.textContent.includes('Now: number = 6.')", arg=said.element_handle())
    page.keyboard.press("Home")                                     # over the one that fails, in one stride
    at(1)
    assert not box.locator("p.rk-wrong").count()
    assert complaints(page) == []


def nothing_serious(page):
    "axe-core on every widget, one after the other."
    from axe_playwright_python.sync_playwright import Axe
    for selector in (".rk:has(img)", ".rk:has(fieldset)", ".rk:has(.rk-frame)", ".rk:has(.rk-board)"):
        scroll_to(page, selector)
        found = Axe().run(page, context=selector)
        bad = [(v["id"], v["impact"], v["nodes"][0]["html"][:160]) for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
        assert bad == [], selector


def test_python_is_told_where_the_widgets_stand(opened, lab):
    "What the page changed can be read in the next cell, and what is saved shows it."
    page = opened
    scroll_to(page, ".rk-board")
    page.locator(".rk:has(.rk-board)").get_by_role("button", name="rises to the right").click()
    page.wait_for_timeout(600)
    page.evaluate("() => 0")
    scroll_to(page, ".jp-Notebook .jp-Cell:last-child .jp-InputArea-editor").click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.type("print([int(w) for w in painter.weights])")
    page.keyboard.press("Shift+Enter")
    page.locator(".jp-OutputArea-output", has_text="[-1, 0, 1, -2, 0, 2, -1, 0, 1]").wait_for()

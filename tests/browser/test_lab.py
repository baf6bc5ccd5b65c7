"The course in a real JupyterLab in a real browser: it opens on the front door, notebooks run, the slider moves the picture, nothing complains."
import json
import re
import urllib.error
import urllib.request

import pytest
from driving import MINUTES, complaints, errors_in, line_gap, open_notebook, run_all, scroll_to
from servers import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_course_opens_on_its_front_door(page, lab, artefacts):
    page.goto(lab)
    page.wait_for_selector(".jp-NotebookPanel h1")
    assert "rheumkit" in page.locator(".jp-NotebookPanel h1").first.inner_text()
    page.wait_for_selector(".jp-NotebookPanel img[alt]")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=artefacts/"lab_index.png")
    assert complaints(page) == []
    page.locator(".jp-NotebookPanel a", has_text=re.compile("convolution", re.I)).first.click()
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) h1:has-text('onvolution')")


def test_who_learns_sees_no_menu_for_who_grades(page, lab):
    "The class extra brings nbgrader's page and server extensions along; the course leaves both off."
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: there is no menu to hide")
    page.goto(lab)
    page.wait_for_selector(".jp-NotebookPanel h1")
    page.wait_for_load_state("networkidle")
    menus = [name.strip() for name in page.locator(".lm-MenuBar-itemLabel").all_inner_texts()]
    assert {"File", "Run", "Help"} <= set(menus) and not [name for name in menus if "nbgrader" in name.lower()]
    assert page.locator("[aria-label*=nbgrader i], [title*='Create Assignment' i], .jp-Toolbar >> text=Validate").count() == 0
    address, token = re.match(r"(http://[^/]+)/.*token=(\w+)", lab).groups()
    asked = urllib.request.Request(f"{address}/formgrader", headers={"Authorization": f"token {token}"})
    with pytest.raises(urllib.error.HTTPError, match="404"): urllib.request.urlopen(asked, timeout=30)
    assert complaints(page) == []


@pytest.mark.parametrize("path", ["3_learning/00_convolution.ipynb", "6_pitfalls/01_leakage.ipynb"])
def test_a_lesson_runs_and_its_slider_moves_the_picture(path, page, lab, artefacts):
    open_notebook(page, lab, path)
    run_all(page)
    assert errors_in(page, lab, path) == []
    name = path.split("/")[-1].removesuffix(".ipynb")
    slider = scroll_to(page, ".jp-Notebook .rk:has(img) input[type=range]")
    box = slider.locator("xpath=ancestor::*[contains(concat(' ', @class, ' '), ' rk ')]").last
    picture = box.locator("img").first
    picture.wait_for()
    page.screenshot(path=artefacts/f"lab_{name}_before.png")
    before = picture.get_attribute("src")
    slider.focus()
    for _ in range(3): page.keyboard.press("ArrowRight")
    page.wait_for_function("([image, before]) => image.getAttribute('src') !== before", arg=[picture.element_handle(), before], timeout=MINUTES)
    page.screenshot(path=artefacts/f"lab_{name}_after.png")
    assert line_gap(box.locator("p[aria-live]").last) < 1.6
    scroll_to(page, ".jp-Notebook .rk fieldset")
    page.screenshot(path=artefacts/f"lab_{name}_question.png")
    assert complaints(page) == []


def end_kernels(lab):
    "Shut down every kernel of the server, as closing the course does; waits until none is left."
    address, token = re.match(r"(http://[^/]+)/.*token=(\w+)", lab).groups()
    def ask(path, method="GET"):
        asked = urllib.request.Request(f"{address}/api/{path}", method=method, headers={"Authorization": f"token {token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer: return json.loads(answer.read() or "null")
    for session in ask("sessions"): ask(f"sessions/{session['id']}", "DELETE")
    wait_for(lambda: not ask("kernels"), 30, "the kernels to end")


def test_what_was_saved_is_seen_again_without_its_kernel(page, lab, artefacts):
    "Run, save, end the kernel, open again: pictures and questions are there, none complains, and running wakes them."
    path = "3_learning/00_convolution.ipynb"
    open_notebook(page, lab, path)
    run_all(page)
    assert errors_in(page, lab, path) == []   # this saves
    scroll_to(page, ".jp-Notebook .rk input[type=range]")   # saving leaves the widgets on the page as they are
    page.goto("about:blank")
    end_kernels(lab)
    saved = json.loads((lab.folder/path).read_text(encoding="utf-8"))
    outputs = [output.get("data", {}) for cell in saved["cells"] for output in cell.get("outputs", [])]
    asleep = [data for data in outputs if "run the cell that made it" in "".join(data.get("text/html", ""))]
    assert len(asleep) >= 2 and not any("widget-view" in mime for data in outputs for mime in data)
    page.said.clear()
    open_notebook(page, lab, path)
    seen, last = [], -1
    while True:   # all the way down, as what is far away is not rendered
        seen.append(page.locator(".jp-Notebook").first.inner_text())
        now = page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => { panel.scrollBy(0, 500); return panel.scrollTop }")
        page.wait_for_timeout(250)
        if now == last: break
        last = now
    assert "model not found" not in "".join(seen) and "Loading widget" not in "".join(seen)
    assert any("To use it, run the cell that made it." in text for text in seen)
    note = scroll_to(page, ".jp-OutputArea-output:has(figure) >> text=To use it, run the cell that made it.")
    assert note.locator("xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')]").locator("img[alt]").first.evaluate("image => image.naturalWidth") > 50
    page.screenshot(path=artefacts/"lab_asleep.png")
    assert complaints(page) == []
    run_all(page)
    scroll_to(page, ".jp-Notebook .rk input[type=range]")
    assert complaints(page) == []

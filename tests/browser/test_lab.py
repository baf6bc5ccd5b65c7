"The course in a real JupyterLab in a real browser: it opens on the front door, notebooks run, the slider moves the picture, nothing complains."
import json
import os
import re
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager

import pytest
from servers import LAB, free_port, places, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
MINUTES = 60_000   # milliseconds


class Lab(str):
    "The address of a running JupyterLab, and the folder that it serves."
    def __new__(cls, address, folder):
        lab = super().__new__(cls, address)
        lab.folder = folder
        return lab


@contextmanager
def served(folder, log):
    "`rheumkit lab --no-browser` on a free port of this machine; gives its address with the token."
    port = free_port()
    environment = os.environ | places(folder) | {"PYTHONUNBUFFERED": "1"}
    environment.pop("RHEUMKIT_STATIC", None)
    with open(log, "w") as out:
        server = subprocess.Popen([*LAB, "--port", str(port), "--folder", str(folder/"course")], cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            def address():
                if server.poll() is not None: raise RuntimeError(f"the server stopped:\n{log.read_text()}")
                return re.search(rf"http://(?:127\.0\.0\.1|localhost):{port}/lab\S*token=\w+", log.read_text())
            yield Lab(wait_for(address, 90, "JupyterLab to say its address")[0], folder/"course")
        finally:
            if server.poll() is None:
                os.killpg(server.pid, 15)   # its own group: the command, the server and its kernels
                try: server.wait(20)
                except subprocess.TimeoutExpired: os.killpg(server.pid, 9)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, artefacts):
    if CHROMIUM is None:
        if os.environ.get("RHEUMKIT_CI"): pytest.fail("there is no chromium on the path")
        pytest.skip("there is no chromium on the path (Debian: apt-get install chromium)")
    with served(tmp_path_factory.mktemp("lab"), artefacts/"lab.log") as address: yield address


@pytest.fixture(scope="module")
def browser(lab):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    "A fresh page that remembers what was said on its console."
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    fresh = context.new_page()
    fresh.set_default_timeout(2*MINUTES)
    fresh.said = []
    fresh.on("console", lambda message: fresh.said.append(message.text) if message.type == "error" else None)
    fresh.on("pageerror", lambda error: fresh.said.append(str(error)))
    yield fresh
    context.close()


HARMLESS = re.compile(r"favicon|ResizeObserver loop|/api/contents/.*404|language-?server|lsp", re.I)


def complaints(page): return [said for said in page.said if not HARMLESS.search(said)]


def open_notebook(page, lab, path):
    "Open one notebook of the course, and wait until its kernel is ready."
    page.goto(re.sub(r"/lab[^?]*\?", f"/lab/tree/{path}?reset&", lab))
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
    page.wait_for_selector("#jp-main-statusbar >> text=/\\| Idle/")


def run_all(page, seconds=240):
    "Run > Run All Cells, and wait until the kernel has nothing to do any more and no cell waits."
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function("() => document.querySelector('.jp-Notebook .jp-InputArea-prompt')")
    page.wait_for_function("""() => {
        const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');
        const waits = [...panel.querySelectorAll('.jp-InputArea-prompt')].some(p => p.textContent.includes('[*]'));
        const ran = [...panel.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].some(p => /\\[\\d+\\]/.test(p.textContent));
        return ran && !waits && panel.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle';
    }""", timeout=seconds*1000)


def errors_in(page, lab, path):
    "What went wrong in any cell of the notebook as it is saved now, but for the hints of exercises that nobody has solved yet."
    page.keyboard.press("Control+s")
    file = lab.folder/path
    before = file.stat().st_mtime_ns
    wait_for(lambda: file.stat().st_mtime_ns != before, 30, "the notebook to be saved")
    wait_for(lambda: file.read_text(encoding="utf-8").endswith("}\n"), 10, "the whole file")
    outputs = [(cell, output) for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] for output in cell.get("outputs", [])]
    return [f"{output['ename']}: {output['evalue']}" for _, output in outputs if output["output_type"] == "error" and output["ename"] != "NotYet"]


def scroll_to(page, selector):
    "Scroll through the notebook until something is attached, as it renders only what is near; returns its locator."
    page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, 0)")
    for _ in range(120):
        found = page.locator(selector)
        if found.count():
            found.first.scroll_into_view_if_needed()
            return found.first
        page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollBy(0, 400)")
        page.wait_for_timeout(150)
    raise AssertionError(f"nothing like {selector} on the page")


def line_gap(said):
    "Distance of the lines of a paragraph, in heights of its letters; its height must be a whole number of them."
    line, letters, tall = said.evaluate("p => [parseFloat(getComputedStyle(p).lineHeight), parseFloat(getComputedStyle(p).fontSize), p.getBoundingClientRect().height]")
    assert abs(tall/line - round(tall/line)) < .2
    return line/letters


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


@pytest.mark.parametrize("path", ["3_learning/00_convolution.ipynb", "6_pitfalls/01_leakage.ipynb"])
def test_a_lesson_runs_and_its_slider_moves_the_picture(path, page, lab, artefacts):
    open_notebook(page, lab, path)
    run_all(page)
    assert errors_in(page, lab, path) == []
    name = path.split("/")[-1].removesuffix(".ipynb")
    slider = scroll_to(page, ".jp-Notebook .widget-slider .noUi-handle, .jp-Notebook .widget-hslider .noUi-handle")
    box = slider.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')]").last
    picture = box.locator("img").first
    picture.wait_for()
    page.screenshot(path=artefacts/f"lab_{name}_before.png")
    before = picture.get_attribute("src")
    slider.focus()
    for _ in range(3): page.keyboard.press("ArrowRight")
    page.wait_for_function("([image, before]) => image.getAttribute('src') !== before", arg=[picture.element_handle(), before], timeout=MINUTES)
    page.screenshot(path=artefacts/f"lab_{name}_after.png")
    assert line_gap(box.locator(".widget-html p[aria-live]").last) < 1.6
    scroll_to(page, ".jp-Notebook .widget-radio")
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
    scroll_to(page, ".jp-Notebook .widget-slider")   # saving leaves the widgets on the page as they are
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
    scroll_to(page, ".jp-Notebook .widget-slider")
    assert complaints(page) == []

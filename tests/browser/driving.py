"How the browser tests drive the course in a real JupyterLab."
import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager

from servers import LAB, free_port, places, wait_for

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
    file = lab.folder/path
    before = file.stat().st_mtime_ns
    page.keyboard.press("Control+s")   # after `before`, as a small notebook is saved within a millisecond or two
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

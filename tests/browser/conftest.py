"A JupyterLab with the course in it, and a browser, for the tests of this folder."
import os

import pytest
from driving import CHROMIUM, FLAGS, MINUTES, served


@pytest.fixture(scope="session")
def lab(tmp_path_factory, artefacts):
    with served(tmp_path_factory.mktemp("lab"), artefacts/"lab.log") as address: yield address


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        if os.environ.get("RHEUMKIT_CI"): pytest.fail("there is no chromium on the path")
        pytest.skip("there is no chromium on the path (Debian: apt-get install chromium)")
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

"The course as a web page in a real browser, wide and on a phone: nothing sticks out, nothing is fetched from elsewhere, search finds, and everybody can use it."
import os
import re

import pytest
from driving import CHROMIUM, FLAGS
from site_of_the_course import built, pages_of, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOOKED_AT = ["index.html", "lessons.html", "glossary.html", "3_learning/00_convolution.html", "4_explaining/00_saliency.html", "5_routes/03_regression.html", "6_pitfalls/01_leakage.html",
             "workshop/2_phantom/03_mri.html", "workshop/2_phantom/20_knee_mri.html", "workshop/7_practice/00_classroom.html", "api/index.html", "api/images/cohort.html", "search.html"]
KINDS = ["index.html", "lessons.html", "3_learning/00_convolution.html", "workshop/2_phantom/20_knee_mri.html", "api/images/cohort.html", "glossary.html", "search.html"]   # one page of every kind: what else is dark, or narrow, is so on all of its kind
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def site(tmp_path_factory, worker_id):
    if CHROMIUM is None:
        if os.environ.get("RHEUMKIT_CI"): pytest.fail("there is no chromium on the path")
        pytest.skip("there is no chromium on the path (Debian: apt-get install chromium)")
    return built(tmp_path_factory, worker_id)


@pytest.fixture(scope="module")
def address(site):
    with served(site) as address: yield address


@pytest.fixture(scope="module")
def browser(site):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, address):
    "Pages that remember what they asked for and what was said on their console."
    contexts = []
    def fresh(size="wide", **options):
        contexts.append(browser.new_context(viewport=SIZES[size], reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        return page
    yield fresh
    for context in contexts: context.close()


def foreign(page, address): return [url for url in page.asked if not url.startswith((address, "data:", "blob:", "about:"))]


@pytest.mark.parametrize("size", SIZES)
def test_no_page_is_wider_than_the_screen_or_asks_anybody_else(size, site, address, opened):
    page, wide, nameless = opened(size), {}, []
    for path in pages_of(site):
        page.goto(address + path, wait_until="load")
        inside, outside = page.evaluate("[document.documentElement.clientWidth, Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)]")
        if outside > inside + 1: wide[path] = (inside, outside, page.evaluate(f"""[...document.querySelectorAll('.bd-article *')].filter(e => {{
            if (e.getBoundingClientRect().right <= {inside} + 1) return false;
            for (let p = e.parentElement; p; p = p.parentElement) if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return false;
            return true }}).slice(0, 3).map(e => e.outerHTML.slice(0, 150))"""))
        if not page.title().strip() or not page.locator("h1").first.inner_text().strip(): nameless.append(path)
    assert wide == {} and nameless == []
    assert foreign(page, address) == [] and page.said == []


def grave(page):
    "What axe finds that is serious or critical."
    from axe_playwright_python.sync_playwright import Axe
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return {v["id"]: [node["html"][:160] for node in v["nodes"]][:4] for v in found if v["impact"] in ("serious", "critical")}


@pytest.mark.parametrize("size, scheme", [("wide", "light"), ("wide", "dark"), ("phone", "light")])
def test_axe_finds_nothing_grave(size, scheme, address, opened, site):
    page, found = opened(size, color_scheme=scheme), {}
    for path in LOOKED_AT if (size, scheme) == ("wide", "light") else KINDS:
        page.goto(address + path, wait_until="load")
        assert page.locator("html").get_attribute("data-theme") == scheme
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if grown := grave(page): found[path] = grown
    assert found == {}


def test_search_finds_and_leads_there(address, opened, artefacts):
    page = opened()
    page.goto(address)
    page.keyboard.press("Control+k")
    page.locator("input[type=search]:visible").first.fill("leakage")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"search\.html\?q=leakage"))
    result = page.locator("#search-results li a", has_text="when the test has already been seen").first
    result.wait_for()
    page.screenshot(path=artefacts/"docs_search.png")
    result.click()
    page.wait_for_url(re.compile(r"6_pitfalls/01_leakage\.html"))
    assert "Leakage" in page.locator("h1").inner_text() and foreign(page, address) == [] and page.said == []


def test_a_reader_finds_the_way(address, opened, artefacts):
    "From the front door to a lesson; its code behind a toggle, its picture, the promise at its foot, and on to the module's page."
    page = opened()
    page.goto(address)
    page.locator(".bd-article a", has_text="Convolution").first.click()
    page.wait_for_url(re.compile(r"00_convolution\.html"))
    assert page.locator(".bd-sidebar-primary .current.active").count() and page.locator(".bd-sidebar-primary a", has_text="Saliency").count()
    toggle = page.locator("details.hide").first
    assert not toggle.locator("pre").first.is_visible()
    toggle.locator("summary").click()
    assert toggle.locator("pre").first.is_visible()
    picture = page.locator(".cell_output img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 50", arg=picture.element_handle())
    assert page.locator("footer", has_text="not a medical device").is_visible()
    page.screenshot(path=artefacts/"docs_convolution.png")
    page.locator(".bd-article a", has_text="rheumkit.learning.convolution").first.click()
    page.wait_for_url(re.compile(r"api/learning/convolution\.html"))
    assert page.locator("[id='rheumkit.learning.convolution.one_pixel']").is_visible()


def test_a_phone_has_the_navigation_and_wide_pictures_scroll_in_their_box(address, opened, artefacts):
    page = opened("phone")
    page.goto(address + "3_learning/00_convolution.html")
    page.locator("button.primary-toggle").click()
    page.locator("#pst-primary-sidebar-modal a", has_text="Saliency").first.wait_for(state="visible")
    page.keyboard.press("Escape")
    wide = page.locator(".cell_output img.wide").first
    wide.scroll_into_view_if_needed()
    box = wide.evaluate("""image => { let p = image.parentElement; while (p && getComputedStyle(p).overflowX !== 'auto') p = p.parentElement;
                           return [p.clientWidth, p.scrollWidth, p.querySelector('img').alt.length] }""")
    assert box[0] <= 390 < box[1] and box[2] > 20
    page.screenshot(path=artefacts/"docs_phone.png")


def test_formulas_are_drawn(address, opened):
    page = opened()
    page.goto(address + "workshop/2_phantom/03_mri.html")
    assert page.locator("math msup").count() > 3 and page.locator("math").first.bounding_box()["width"] > 5

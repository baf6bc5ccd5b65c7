"The course as a web page, from the files: built without a warning, every page named and in the navigation, every public name described, no solution, no dead link, nothing from elsewhere."
import ast
import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from site_of_the_course import built, pages_of

from rheumkit.core.course import SOLUTION, course_paths, heading, notebooks_in, source_of

pytestmark = pytest.mark.slow
ABOUT_MARKS = {"workshop/0_core/05_course.html", "api/core/course.html", "workshop/7_practice/00_classroom.html"}   # they explain how exercises are marked


class Page(HTMLParser):
    "What the tests ask of a page: its ids, links, pictures, and its text without code that is loaded."
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.loaded, self.text, self.titles, self.inside = set(), [], [], [], [], [], []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs: self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"): self.links.append(attrs["href"])
        if tag == "img": self.images.append(attrs)
        loads = attrs.get("src") or (attrs.get("href") if tag == "link" and "canonical" not in attrs.get("rel", "") else None)
        if loads: self.loaded.append(loads)
        if tag in ("script", "style", "title", "h1"): self.inside.append(tag)
    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[-1]: self.inside.pop()
    def handle_data(self, data):
        if "title" in self.inside: self.titles.append(data)
        if not {"script", "style"} & set(self.inside): self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory, worker_id): return built(tmp_path_factory, worker_id)


@pytest.fixture(scope="module")
def pages(site): return {path: Page((site/path).read_text(encoding="utf-8")) for path in pages_of(site)}


@pytest.fixture(scope="module")
def notebooks(root): return notebooks_in(root/"nbs")


def test_every_notebook_is_a_page_with_its_title_and_place(pages, notebooks):
    reached = {path: {unquote(urlsplit(link).path) for link in page.links} for path, page in pages.items()}
    for path, place in course_paths(notebooks).items():
        page = place.replace(".ipynb", ".html")
        title = heading(notebooks[path])["title"]
        assert title and title.replace("`", "") in html.unescape("".join(pages[page].titles)), f"{page} has the title {pages[page].titles}"
        if path == "index.ipynb": continue
        section = "workshop/index.html" if place.startswith("workshop/") else "lessons.html"
        assert page.removeprefix("workshop/" if place.startswith("workshop/") else "") in reached[section], f"{section} does not lead to {page}"
    assert {"lessons.html", "workshop/index.html", "api/index.html"} <= reached["index.html"]
    assert all("".join(page.titles).strip() for page in pages.values())


def test_every_public_name_is_described(site, pages, root):
    "Each name of each module's __all__, as the file says it, and beside it the parameters that have a comment."
    seen = 0
    for file in sorted((root/"rheumkit").rglob("*.py")):
        path = file.relative_to(root/"rheumkit").with_suffix("")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        listed = [n.value for n in tree.body if isinstance(n, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in n.targets)]
        if not listed or any(part.startswith("_") for part in path.parts): continue
        page, module = pages[f"api/{path.as_posix()}.html"], "rheumkit." + ".".join(path.parts)
        text = "".join(page.text)
        for name in ast.literal_eval(listed[0]):
            seen += 1
            assert f"{module}.{name}" in page.ids or (re.search(rf"\b{name}\b", text) and any(link.endswith(f".{name}") for link in page.links)) or f"{name}: the module" in text, f"{module}.{name} is not on its page"
    assert seen > 800


@pytest.mark.parametrize("page, said", [
    ("api/images/pixels.html", ["window", "Modality values (after rescale), any shape", "Tensor", "Grey levels in [0, 1]"]),
    ("api/images/cohort.html", ["from_table", "from_dicom", "One row per image; at least image_id (unique) and patient_id"]),
    ("api/phantom/recipes.html", ["simulate", "recipe", "patients", "default 100"])])
def test_parameters_stand_with_their_description(page, said, pages):
    text = " ".join("".join(pages[page].text).split())
    assert [s for s in said if s not in text] == []


def test_no_solution_check_directive_or_raw_markup_on_any_page(pages, notebooks):
    def squeezed(code): return re.sub(r"\s+", "", code)
    graded = [c for n in notebooks.values() for c in n["cells"] if c["metadata"].get("nbgrader")]
    solutions = {squeezed(block[1]) for c in graded for block in SOLUTION.findall(source_of(c))}
    checks = {squeezed(source_of(c)) for c in graded if c["metadata"]["nbgrader"].get("grade")}
    taught = squeezed("\n".join(SOLUTION.sub("", source_of(c)) for n in notebooks.values() for c in n["cells"] if "teacher" not in c["metadata"].get("tags", [])))
    notes = [squeezed(source_of(c))[:200] for n in notebooks.values() for c in n["cells"] if "teacher" in c["metadata"].get("tags", [])]
    lines = {squeezed(s) for c in graded for block in SOLUTION.findall(source_of(c)) for s in block[1].splitlines() if not s.strip().startswith('"')}
    telling = {s for s in lines if len(s) >= 25 and s not in taught}
    assert len(solutions) > 25 and len(checks) > 25 and len(telling) > 20 and len(notes) > 8
    for path, page in pages.items():
        text = "".join(page.text)
        flat = squeezed(text)
        assert not [s for s in solutions | checks | telling if s in flat], f"{path} gives an answer away"
        assert not [s for s in notes if s in flat], f"{path} shows a note for the teacher"
        assert ":::" not in text and "```{" not in text and "{toctree}" not in text, f"{path} shows raw markup"
        if path not in ABOUT_MARKS: assert not re.search(r"^#\|", text, re.M) and "### BEGIN" not in text and "### END" not in text, f"{path} shows a directive"


def test_the_search_index_has_no_solution_either(site, notebooks):
    index = (site/"searchindex.js").read_text(encoding="utf-8")
    assert "leakag" in index and "BEGIN SOLUTION" not in index and not list(site.rglob("*.ipynb")) and not (site/"data_samples").exists()


def test_every_picture_has_words_and_is_there(site, pages):
    seen = 0
    for path, page in pages.items():
        for image in page.images:
            seen += 1
            assert image.get("alt", "").strip() and image.get("width") and image.get("height"), f"{path}: {image.get('src')} has no alternative text or size"
            assert not image["src"].startswith("data:") and (site/path).parent.joinpath(image["src"]).is_file(), f"{path}: {image['src']} is missing"
    assert seen > 150


def test_every_link_leads_somewhere(site, pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto") or link == "#": continue
            target = (site/path).parent.joinpath(unquote(parts.path)).resolve() if parts.path else (site/path).resolve()
            if not target.is_file(): dead.append(f"{path} -> {link}")
            elif parts.fragment and target.suffix == ".html":
                there = pages.get(target.relative_to(site.resolve()).as_posix())
                if there and unquote(parts.fragment) not in there.ids: dead.append(f"{path} -> {link} (no such place)")
    assert not dead, "\n".join(dead[:20])


def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert not [(path, what) for path, page in pages.items() for what in page.loaded if re.match(r"(https?:)?//", what)]
    styles = "\n".join(f.read_text(encoding="utf-8") for f in site.rglob("*.css"))
    assert not re.findall(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^)]+""", styles)


def test_formulas_need_no_script(pages):
    "Formulas are MathML; the text of none is left as it was typed."
    with_math = [path for path, page in pages.items() if "e^{-TR" in "".join(page.text)]
    assert not with_math


def test_every_page_says_what_it_is_not(pages): assert not [path for path, page in pages.items() if "not a medical device" not in "".join(page.text)]

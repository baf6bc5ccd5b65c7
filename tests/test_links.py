"Links, without the internet: those inside lead somewhere, in the repository and in the learner's course; those outside are DOIs of the right form or the official sites of what the kit uses."
import json
import re
from urllib.parse import unquote, urlsplit

import pytest

from rheumkit.core import course

OFFICIAL = {"anywidget.dev", "dicom.nema.org", "www.dicomstandard.org", "nbgrader.readthedocs.io", "keepachangelog.com", "semver.org",
            "github.com/Oulu-IMEDS/stambo"}   # a site, or a project on a site of many
DOI = re.compile(r"10\.\d{4,9}/[-._;()/:<>A-Za-z0-9]*[A-Za-z0-9)>]")   # as Crossref says they look
MARKDOWN_LINK = re.compile(r"\]\(\s*<?((?:[^()\s<>]|\([^()\s]*\))+)>?(?:\s+\"[^\"]*\")?\s*\)")


def texts_of(path):
    "Markdown and HTML of a page: that of a file, or that of a notebook's cells and outputs; and the Python of its cells."
    if path.suffix != ".ipynb": return [path.read_text(encoding="utf-8")], []
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [course.source_of(c) for c in cells if c["cell_type"] == "markdown"]
    for cell in cells:
        for output in cell.get("outputs", []):
            shown += ["".join(output.get("data", {}).get(kind, "")) for kind in ("text/markdown", "text/html")]
    return shown, [course.source_of(c) for c in cells if c["cell_type"] == "code"]


def links_of(path):
    "Every address that a page leads to."
    shown, code = texts_of(path)
    found = []
    for text in shown:
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += MARKDOWN_LINK.findall(text) + re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text) + re.findall(r'<img\b[^>]*\bsrc="(?!data:)([^"]+)"', text)
        found += re.findall(r"<(https?://[^\s>]+)>", text) + re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, re.MULTILINE)
    for text in code: found += [url.rstrip(".,;'\"") for url in re.findall(r"https?://[^\s\"')\]]+", text) if "{" not in url]
    return found


def places_in(path):
    "What can stand after the # of a link to this page."
    headings = [h.strip() for text in texts_of(path)[0] for h in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)]
    if path.suffix == ".ipynb": return {h.replace(" ", "-") for h in headings}
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def wrong_links(folder, pages):
    "Links of these pages that lead nowhere, and those that lead where they should not."
    wrong = []
    for page in pages:
        for link in links_of(page):
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                if parts.netloc == "doi.org": ok = parts.scheme == "https" and DOI.fullmatch(unquote(parts.path[1:]))
                else: ok = parts.netloc in OFFICIAL or any(f"{parts.netloc}{parts.path}".startswith(site) for site in OFFICIAL if "/" in site) or parts.hostname in ("127.0.0.1", "localhost", "example.org")
            elif parts.scheme: ok = parts.scheme == "mailto"
            else:
                target = page.parent/unquote(parts.path) if parts.path else page
                ok = target.exists() and (not parts.fragment or target.suffix not in (".ipynb", ".md") or unquote(parts.fragment) in places_in(target))
            if not ok: wrong.append(f"{page.relative_to(folder).as_posix()} -> {link}")
    return wrong


def pages_in(folder): return sorted(p for kind in ("*.ipynb", "*.md") for p in folder.rglob(kind) if not any(part.startswith((".", "_")) for part in p.relative_to(folder).parts))


def test_links_of_the_repository(root):
    pages = [*sorted(root.glob("*.md")), *pages_in(root/"nbs"), *pages_in(root/"data_samples")]
    assert sum(len(links_of(p)) for p in pages) > 200
    assert wrong_links(root, pages) == []


@pytest.mark.parametrize("solutions", [True, False], ids=["alone", "in a class"])
def test_links_of_the_learners_course(solutions, root, tmp_path):
    "Where notebooks stand elsewhere, and terms lead to the glossary."
    course.build_course(root, tmp_path/"course", solutions)
    pages = pages_in(tmp_path/"course")
    assert sum("glossary.ipynb#" in link for p in pages for link in links_of(p)) > 100
    assert wrong_links(tmp_path, pages) == []


def test_dois_in_running_text_have_their_form(root):
    "Also those that are no links: in docstrings and comments."
    wrong = []
    for page in [*pages_in(root/"nbs"), *(root/"rheumkit").rglob("*.py")]:
        text = "\n".join(course.source_of(c) for c in json.loads(page.read_text(encoding="utf-8"))["cells"]) if page.suffix == ".ipynb" else page.read_text(encoding="utf-8")
        wrong += [f"{page.name}: {said}" for said in re.findall(r"\bdoi:?\s+\[?(\S+)", text, re.I) if re.match(r"\d", said) and not DOI.match(said)]
    assert wrong == []


@pytest.mark.parametrize("link, right", [
    ("there.md", True), ("there.md#a-heading", True), ("book.ipynb#A-heading", True), ("#Here", True), ("https://doi.org/10.1016/S0140-6736(86)90837-8", True),
    ("gone.md", False), ("there.md#no-heading", False), ("book.ipynb#a-heading", False), ("#There", False), ("https://doi.org/1016/j.x", False), ("http://doi.org/10.1016/j.x", False),
    ("https://doi.org/10.1016/j.x.", False), ("https://a-blog.example/post", False), ("https://github.com/somebody/else", False)])
def test_a_wrong_link_is_found(link, right, tmp_path):
    def notebook(text): return json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": text}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (tmp_path/"there.md").write_text("## A heading\n")
    (tmp_path/"book.ipynb").write_text(notebook("## A heading"))
    (tmp_path/"page.ipynb").write_text(notebook(f"# Here\n\nSee [this]({link})."))
    assert wrong_links(tmp_path, [tmp_path/"page.ipynb"]) == ([] if right else [f"page.ipynb -> {link}"])

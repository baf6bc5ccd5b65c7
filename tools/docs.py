"""The course as a web page, offline: the learner's edition of every notebook, without solutions, and a page for every module -> build/docs/html.

    python tools/docs.py [FOLDER]
"""
import base64
import hashlib
import json
import posixpath
import re
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT/"tools")]

import api  # noqa: E402

from rheumkit.core import course  # noqa: E402  (this checkout's, also where the package is not installed)

OUTPUT = ROOT/"build"/"docs"
FLOORS = ["core", "images", "phantom", "learning", "explaining", "routes", "pitfalls", "practice", "roof"]
PICTURE = re.compile(r'<img ([^>]*?)src="data:image/png;base64,([^"]+)"')
DO_IT = '<p class="exercise">Do this one in the course itself: there your answer is checked, and a worked solution waits behind a reveal.</p>'
HERE = """You can read all of it here: the [lessons](lessons.md), the [workshop](workshop/index.md) that shows how the kit is made,
and what [every function](api/index.md) takes and gives. On these pages sliders stand still, beside pictures of what they do;
they move once the course [runs on your computer](#Start)."""
CONTENTS = "```{toctree}\n:hidden:\n\nlessons\nworkshop/index\napi/index\n```"
LESSONS = "Each explains one idea and lets you try it; the numbers on the right are the minutes that it takes."
WORKSHOP = "How the kit itself is made, floor by floor: notebooks that are as readable as the lessons, without exercises."
ABOUT = "What it is about"
API = "Every public name of every module, with what it takes and gives. `from rheumkit.all import *` brings what a notebook needs."


def lab_anchor(heading):
    "A heading as the end of a link to it, as JupyterLab has it."
    return heading.replace(" ", "-")


def markdown(text): return {"cell_type": "markdown", "metadata": {}, "source": text}


def from_page(path, page): return posixpath.relpath(path, posixpath.dirname(page) or ".")


def with_files(html, page, pictures):
    "HTML whose pictures are files, with their size known before they arrive; they are added to `pictures` by their path on the site."
    def store(found):
        data = base64.b64decode(found[2])
        path = f"pictures/{hashlib.sha256(data).hexdigest()[:16]}.png"
        pictures[path] = data
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")   # where a PNG says its size
        if said := re.search(r'\bwidth="(\d+)"', found[1]): width, height = int(said[1]), round(height*int(said[1])/width)
        rest = re.sub(r'\s*\bwidth="\d+"', "", found[1]).strip()
        wide = ' class="wide"' if width > 560 else ""
        return f'<img {rest} width="{width}" height="{height}"{wide} loading="lazy" src="{from_page(path, page)}"'
    return PICTURE.sub(store, html)


def shown(output, path, moved, pictures):
    "An output as the page shows it, or None if there is nothing to be seen."
    data = {kind: "".join(text) if isinstance(text, list) else text for kind, text in output.get("data", {}).items()}
    if html := data.get("text/html"):
        html = re.sub(r"<style.*?</style>", "", html, flags=re.S)
        if not html.strip(): return None
        def alive(a): return a[0] if re.search(rf"id=['\"]{re.escape(a[2])}['\"]", html) else a[3]   # a part of a longer page has links to what is not here
        data["text/html"] = with_files(re.sub(r"<a href=(['\"])#(.*?)\1>(.*?)</a>", alive, html), moved[path], pictures)
    if "text/markdown" in data: data["text/markdown"] = course.follow_links(data["text/markdown"], path, moved)
    return dict(output, data=data) if data else output


def module_of(notebook):
    "The module that a notebook exports, e.g. 'images.pixels', or None."
    said = [course.directives(course.source_of(c)) for c in notebook["cells"] if c["cell_type"] == "code"]
    return next((d["default_exp"] for d in said if d.get("default_exp")), None)


def as_page(notebook, module, path, moved, pictures):
    "A notebook of the course as a page: folded code behind a toggle, questions without the code that gives them away, exercises without checks."
    cells = []
    for cell in notebook["cells"]:
        graded = cell["metadata"].get("nbgrader", {})
        if graded.get("grade"): continue
        if cell["cell_type"] != "code":
            cells.append(markdown(cell["source"]))
            continue
        outputs = [o for output in cell["outputs"] if (o := shown(output, path, moved, pictures))]
        asks = re.match(r"(quiz|predict)\(", cell["source"])
        tag = "remove-input" if asks else "hide-input" if cell["metadata"].get("jupyter", {}).get("source_hidden") else ""
        cells.append(dict(cell, outputs=outputs, metadata={"tags": [tag] if tag else []}))
        if graded.get("solution"): cells.append(markdown(DO_IT))
    if module: cells.append(markdown(f"---\n\nThis notebook is the module [`rheumkit.{module}`]({from_page(api.page_of(module), moved[path])})."))
    if path == "index.ipynb": cells = [cells[0], markdown(HERE), *cells[1:], markdown(CONTENTS)]
    return dict(notebook, cells=[dict(cell, id=f"cell-{number}") for number, cell in enumerate(cells)])


def floor_of(path): return re.sub(r"^\d+_", "", posixpath.dirname(path)) or "roof"


def section(page, title, said, head, entries, roof="Roof"):
    "A page that leads to others, floor by floor, and gives them their place in the navigation: `entries` are (floor, path, cells of its row)."
    out = [f"# {title}", said]
    for floor in FLOORS:
        rows = [([f"[{cells[0]}]({from_page(path, page)})", *cells[1:]], from_page(path, page)) for its, path, *cells in entries if its == floor]
        if not rows: continue
        called = roof if floor == "roof" else floor.capitalize()
        table = [head, ["---"]*len(head), *([str(c or "").replace("|", "\\|") for c in cells] for cells, _ in rows)]
        out += [f"## {called}", "\n".join("| " + " | ".join(cells) + " |" for cells in table),
                "\n".join(["```{toctree}", ":hidden:", f":caption: {called}", "", *(posixpath.splitext(path)[0] for _, path in rows), "```"])]
    return "\n\n".join(out) + "\n"


def sources(folder):
    "Write what Sphinx reads into `folder`/source; returns the pictures of the site by their paths."
    made, pictures, notebooks = folder/"course", {}, course.notebooks_in(ROOT/"nbs")
    course.build_course(ROOT, made, solutions=False)
    moved, heads = course.course_paths(notebooks), {path: course.heading(notebook) for path, notebook in notebooks.items()}
    exports = {path: module_of(notebook) for path, notebook in notebooks.items()}
    editions = {path: json.loads((made/moved[path]).read_text(encoding="utf-8")) for path in notebooks}
    pages = {moved[path]: json.dumps(as_page(edition, exports[path], path, moved, pictures), ensure_ascii=False) for path, edition in editions.items()}
    shutil.rmtree(made)
    made_in = {f"rheumkit.{module}": (heads[path]["title"], moved[path]) for path, module in exports.items() if module}
    modules = api.modules()
    for name, module in modules.items(): pages[api.page_of(name)] = api.page(module, made_in.get(name))
    rows = [(floor_of(path), moved[path], head["title"], head["promise"], head["minutes"]) for path, head in heads.items() if path != "index.ipynb"]
    first = {name: api.line((module.__doc__ or "").split("\n")[0]) for name, module in modules.items()}
    said = [(floor_of(short.replace(".", "/")), api.page_of(name), short, first[name]) for name in modules if (short := name.removeprefix("rheumkit."))]
    lessons, workshop = ([r for r in rows if r[1].startswith("workshop/") == made_here] for made_here in (False, True))
    pages["lessons.md"] = section("lessons.md", "Lessons", LESSONS, ["Lesson", ABOUT, "Minutes"], lessons, "To look up")
    pages["workshop/index.md"] = section("workshop/index.md", "Workshop", WORKSHOP, ["Notebook", ABOUT], [r[:4] for r in workshop])
    pages["api/index.md"] = section("api/index.md", "API", API, ["Module", ABOUT], said)
    for path, text in pages.items():
        (folder/"source"/path).parent.mkdir(parents=True, exist_ok=True)
        (folder/"source"/path).write_text(text, encoding="utf-8")
    return pictures


def build(folder=OUTPUT):
    "Make the site anew; returns the folder with its index.html. Any warning is an error."
    from sphinx.cmd.build import build_main
    folder = Path(folder)
    for part in ("course", "source", "doctrees", "html"): shutil.rmtree(folder/part, ignore_errors=True)
    for path, data in sources(folder).items():
        (folder/"html"/path).parent.mkdir(parents=True, exist_ok=True)
        (folder/"html"/path).write_bytes(data)
    strict = ["-q", "-n", "-W", "--keep-going"]
    if build_main([*strict, "-b", "html", "-c", str(ROOT/"docs"), "-d", str(folder/"doctrees"), str(folder/"source"), str(folder/"html")]):
        raise SystemExit(f"the site has faults, said above; what Sphinx read is in {folder/'source'}")
    return folder/"html"


if __name__ == "__main__":
    start = time.perf_counter()
    site = build(*sys.argv[1:2])
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages in {time.perf_counter() - start:.0f} s: open {site/'index.html'}")

"""Make README.md from nbs/index.ipynb, offline: its text, its tables and its pictures, with links that lead from the top of the repository.

    python tools/readme.py
"""
import base64
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rheumkit.core import course  # noqa: E402  (this checkout's, also where the package is not installed)

PICTURE = re.compile(r'<img alt="([^"]*)"[^>]*src="data:image/png;base64,([^"]+)"')


def from_top(markdown):
    "Markdown whose relative links lead from the top of the repository instead of from nbs/."
    return re.sub(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)", r"](nbs/\1)", markdown)


def parts(notebook):
    "The pieces of the page: ('text', markdown) and ('picture', alternative text, PNG)."
    for cell in notebook["cells"]:
        if not course.is_for_learners(cell): continue
        if cell["cell_type"] == "markdown": yield "text", from_top(course.source_of(cell))
        for output in cell.get("outputs", []):
            data = {kind: "".join(text) for kind, text in output.get("data", {}).items() if isinstance(text, (str, list))}
            if "text/markdown" in data: yield "text", from_top(data["text/markdown"])
            for alt, png in PICTURE.findall(data.get("text/html", "")): yield "picture", alt, base64.b64decode(png)


def pages():
    "Everything that is made: path from the top of the repository -> content."
    made, text = {}, []
    for kind, *content in parts(json.loads((ROOT/"nbs"/"index.ipynb").read_text(encoding="utf-8"))):
        if kind == "picture":
            path = f"nbs/index_files/picture_{len(made) + 1}.png"
            made[path] = content[1]
            text.append(f"![{content[0]}]({path})")
        else: text.append(content[0].strip())
    note = "<!-- Made from nbs/index.ipynb by `make readme`; change the notebook, not this file. -->"
    return made | {"README.md": ("\n\n".join([note, *text]) + "\n").encode()}


if __name__ == "__main__":
    for path, content in pages().items():
        (ROOT/path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT/path).write_bytes(content)
        print(f"{path}: {len(content)/1e3:.0f} kB")

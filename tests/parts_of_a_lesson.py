"What a lesson consists of, after STYLE.md, and how to tell that a part is missing."
import ast
import re

import notebooks

from rheumkit.core import course

def calls(source, *names):
    "The calls of functions by these names in the code of a cell, but for those inside definitions, which wait to be called."
    try: tree = ast.parse(course.without_directives(source))
    except SyntaxError: return []
    now = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [n for statement in now for n in ast.walk(statement) if isinstance(n, ast.Call) and (getattr(n.func, "id", "") or getattr(n.func, "attr", "")) in names]


def is_said(node, least=12):
    "Whether an argument is a text of some length, also one with values in it."
    texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return len("".join(texts).strip()) >= least


def html_of(cell): return "".join("".join(o.get("data", {}).get("text/html", "")) for o in cell.get("outputs", []))


def questions(code):
    "All questions of the quizzes of a lesson, as they are written."
    return [question for cell in code for call in calls(cell.source, "quiz") for question in ast.literal_eval(call.args[0])]


def explained(question):
    return (len(question["answers"]) >= 3 and 0 <= question.get("right", 0) < len(question["answers"]) and len(question["question"]) > 10
            and all(len(why.strip()) >= 12 for why in question["answers"].values()))


def exercises(code):
    "Each exercise: the cell to be filled in, and the cells up to the next one that check it."
    found = []
    for cell in code:
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution"): found.append((cell, []))
        elif marks.get("grade") and found: found[-1][1].append(cell)
    return found


def hints(cell):
    "Whether every check in a cell has a hint, so that nobody who has written nothing yet is left alone."
    found = calls(cell.source, "say") or calls(cell.source, "check")   # the pitfalls have a `check` of their own, and there the learner's is `say`
    return bool(found) and all(len(call.args) >= 2 and (is_said(call.args[1]) or "caught" in ast.unparse(call.args[1])) for call in found)


def has_twin(cell):
    "Whether a cell that makes an explorer shows its static twin: pictures with the values that they were drawn with."
    return len(re.findall(r"<figcaption>[^<]*=", html_of(cell))) >= 2


def missing_parts(notebook):
    "The names of the parts that a lesson lacks."
    code = [c for c in notebook.cells if c.cell_type == "code"]
    text = [c.source for c in notebook.cells if c.cell_type == "markdown" and "teacher" not in c.metadata.get("tags", [])]
    head, whole = "\n".join(text[:4]), "\n".join(text)
    objectives = re.search(r"\*\*Objectives.*?(?=\n\n\*\*|\Z)", head, re.DOTALL)
    minutes = re.search(r"\*\*Minutes\*?\*?:?\*?\*?.*", head)
    take_home = re.split(r"^## Take home.*$", whole, flags=re.MULTILINE)
    teacher = "\n".join(c.source for c in notebook.cells if "teacher" in c.metadata.get("tags", [])).lower()
    makers = [c for c in code if calls(c.source, "explore", "explorer")]
    tasks, asked = exercises(code), questions(code)
    images = re.findall(r"<img\b[^>]*>", "".join(map(html_of, code)) + whole)
    there = {
        "title": bool(re.match(r"# \S", notebook.cells[0].source)),
        "promise": bool(re.search(r"^> \S", notebook.cells[0].source, re.MULTILINE)),
        "objectives": bool(objectives) and 3 <= max(len(re.findall(r"\(\d\)|^\s*\d\. |^- ", objectives[0], re.MULTILINE)), 0) <= 5,
        "minutes": bool(minutes) and all(re.search(rf"{what}\w* (?:about )?\d+", minutes[0]) for what in ("reading", "running", "exercise")),
        "builds on": bool(re.search(r"\*\*Builds on\W+\w", head)),
        "disclaimer": "not a medical device" in head.lower() and "simulated" in head.lower(),
        "early picture": any(notebooks.has_picture(c) for c in [c for c in code if course.is_for_learners(c)][:3]),
        "prediction": any(calls(c.source, "predict") for c in code),
        "explorer": bool(makers),
        "static twin": bool(makers) and all(map(has_twin, makers)),
        "alternative text": bool(images) and all(re.search(r'alt="[^"]{12,}"', i) for i in images) and not any("image/png" in o.get("data", {}) for c in code for o in c.outputs),
        "exercises": 2 <= len(tasks) <= 4,
        "checks": bool(tasks) and all(checks for _, checks in tasks),
        "hints": bool(tasks) and all(hints(c) for _, checks in tasks for c in checks),
        "quiz": 3 <= len(asked) <= 5,
        "explanations": bool(asked) and all(map(explained, asked)),
        "take home": len(take_home) == 2 and len(take_home[1].strip()) > 100,
        "references": len(take_home) == 2 and "https://doi.org/10." in take_home[1],
        "teacher": all(word in teacher for word in ("minute", "misconception", "discuss"))}
    return {part for part, found in there.items() if not found}


def spelled_answers(notebook):
    "The choices (words, letters, yes or no) that an exercise's check spells, where the worked solution is nothing but such choices."
    found = []
    for cell, checks in exercises([c for c in notebook.cells if c.cell_type == "code"]):
        for block in course.SOLUTION.findall(cell.source + "\n"):
            chosen = set()
            for node in ast.parse(block[1]).body if not block[0] else []:
                if not isinstance(node, ast.Assign): continue
                for leaf in [node.value, *(node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [])]:
                    if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str | bool) and len(str(leaf.value)) <= 40: chosen.add(leaf.value)
            spelled = [n.value for c in checks for n in ast.walk(ast.parse(c.source)) if isinstance(n, ast.Constant) and type(n.value) in (str, bool)]
            found += [f"{cell.metadata['nbgrader']['grade_id']}: {answer!r}" for answer in sorted(chosen, key=str) for s in spelled if type(s) is type(answer) and s == answer]
    return found

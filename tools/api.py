"The pages of the modules, in MyST markdown: every public name with its docstring and its documented parameters. Used by tools/docs.py."
import ast
import importlib
import inspect
import pkgutil
import posixpath
import re
import sys
import textwrap


def modules():
    "The modules with public names, by name."
    import rheumkit
    names = [m.name for m in pkgutil.walk_packages(rheumkit.__path__, "rheumkit.") if not any(part.startswith("_") for part in m.name.split("."))]
    return {name: module for name in names if getattr(module := importlib.import_module(name), "__all__", None)}


def page_of(module): return f"api/{module.removeprefix('rheumkit.').replace('.', '/')}.md"


def plain(text):
    "A docstring as markdown that says just that: `code` stays code, no other sign means anything."
    parts = re.split(r"(`[^`\n]+`)", inspect.cleandoc(text or ""))
    return "".join(part if part.startswith("`") and len(part) > 2 else re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", part) for part in parts)


def line(text): return plain(" ".join((text or "").split()))


def code(text): return f"`` {text} ``" if "`" in text else f"`{text}`"


def is_definition(thing): return inspect.isfunction(thing) or inspect.isclass(thing)


def source_tree(thing):
    "The syntax tree of a function or a class, or None where there is no source."
    try: tree = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    except (OSError, TypeError, SyntaxError): return None
    return tree if isinstance(tree, ast.FunctionDef | ast.ClassDef) else None


def written(tree): return ast.unparse(tree) if tree else ""


def docments_of(thing):
    "What stands beside each parameter (and `return`) of a function or class: name -> text."
    from fastcore.docments import docments
    return {name: about.get("docment") or "" for name, about in docments(thing, full=True, returns=True).items() if hasattr(about, "get")}


def fields(cls, tree):
    "(signature, [(name, type, default, what it is)]) of a dataclass; nothing of another class without `__init__`."
    said, rows = docments_of(cls), [n for n in tree.body if isinstance(n, ast.AnnAssign)] if hasattr(cls, "__dataclass_fields__") else []
    signature = ", ".join(n.target.id + (f"={ast.unparse(n.value)}" if n.value else "") for n in rows)
    return signature, [(n.target.id, written(n.annotation), written(n.value), said.get(n.target.id, "")) for n in rows]


def arguments(a):
    "(name as it is written, argument, default) of everything a function takes, in order."
    ordered = a.posonlyargs + a.args
    found = [(p.arg, p, d) for p, d in zip(ordered, [None]*(len(ordered) - len(a.defaults)) + a.defaults)]
    if a.vararg: found.append((f"*{a.vararg.arg}", a.vararg, None))
    found += [(p.arg, p, d) for p, d in zip(a.kwonlyargs, a.kw_defaults)]
    return found + ([(f"**{a.kwarg.arg}", a.kwarg, None)] if a.kwarg else [])


def takes(function, tree, bound, said=None):
    "(signature, [(name, type, default, what it is)], (type and text of what is returned)) of a function; `bound` leaves out self."
    said = docments_of(function) if said is None else said
    found = arguments(tree.args)
    lines = {p.lineno for _, p, _ in found}
    if tree.name != "__init__" and lines == {tree.lineno} and tree.body[0].lineno > tree.lineno:   # one line, one comment: it says what comes out
        said = {"return": said.get("return") or said.get(found[-1][1].arg, "")}
    if bound:
        (tree.args.posonlyargs or tree.args.args).pop(0)
        found = found[1:]
    rows = [(name, written(p.annotation), written(default), said.get(p.arg, "")) for name, p, default in found]
    for _, p, _ in found: p.annotation = None
    return ast.unparse(tree.args), rows, (written(tree.returns), said.get("return", ""))


def makes(cls, tree):
    "The same of a class: what makes one of its objects."
    made = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if made is None: return *fields(cls, tree), ("", "")
    return *takes(cls, made, True, docments_of(cls))[:2], ("", "")


def listed(rows, returns):
    "Parameters and what is returned, as a list of definitions."
    def term(name, said, what): return " · ".join([name, *said]) + (f"\n: {line(what)}" if what else "")
    out = [term(f"**{plain(name)}**", [code(kind)]*bool(kind) + [f"default {code(default)}"]*bool(default and len(default) < 90), what)
           for name, kind, default, what in rows if kind or what]
    if any(returns): out.append(term("*Returns*", [code(returns[0])]*bool(returns[0]), returns[1]))
    return "\n\n".join(out)


def block(directive, argument, parts, depth=1):
    "A directive with a fence long enough for what is inside."
    fence = "`"*(10 - depth)
    return "\n\n".join([f"{fence}{{{directive}}} {argument}", *filter(None, parts), fence])


def members(cls):
    "What a class itself offers: methods and properties, in the order of its source."
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", getattr(member, "f", member))   # fastcore keeps it under f
        function = inspect.unwrap(function) if callable(function) else None
        if name.startswith("_") or not inspect.isfunction(function) or (tree := source_tree(function)) is None: continue
        signature, rows, returns = takes(function, tree, not isinstance(member, staticmethod))
        kind = next((kind.__name__ for kind in (property, staticmethod) if isinstance(member, kind)), "method" if inspect.isfunction(member) else "classmethod")
        yield block(f"py:{kind}", name if kind == "property" else f"{name}({signature})", [plain(function.__doc__), listed(rows, returns)], 2)


def said_after(module):
    "What a module says about its names that are no functions or classes: the string after the assignment."
    body, said = ast.parse(inspect.getsource(module)).body, {}
    for node, after in zip(body, body[1:]):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant): continue
        names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        said |= dict.fromkeys(names, after.value.value) if isinstance(after.value.value, str) else {}
    return said


def home(module, name, thing):
    "The module that a name comes from, and its name there."
    if is_definition(thing): return thing.__module__, thing.__name__
    if module.__name__ != "rheumkit.all": return module.__name__, name
    others = [m for known, m in list(sys.modules.items()) if known.startswith("rheumkit.") and m is not module and name in getattr(m, "__all__", [])]
    return next((m.__name__ for m in others if getattr(m, name) is thing), module.__name__), name


def entry(module, name, said):
    "A public name: what it is, takes and gives; one that is at home elsewhere is a link."
    thing = getattr(module, name)
    if inspect.ismodule(thing): return f"- {code(name)}: the module {'{py:mod}' if thing.__name__.startswith('rheumkit') else ''}`{thing.__name__}`"
    under = inspect.unwrap(thing) if callable(thing) else thing
    place, there = home(module, name, under)
    if place != module.__name__: return f"- {{py:obj}}`{name} <{place}.{there}>` from {code(place)}"
    tree = source_tree(under) if is_definition(under) else None
    if isinstance(tree, ast.FunctionDef):
        signature, rows, returns = takes(under, tree, False)
        return block("py:function", f"{name}({signature})", [plain(under.__doc__), listed(rows, returns)])
    if isinstance(tree, ast.ClassDef):
        signature, rows, returns = makes(under, tree)
        text = "" if (under.__doc__ or "").startswith(f"{name}(") else under.__doc__   # what a dataclass says of itself is its signature
        return block("py:class", f"{name}({signature})" if signature else name, [plain(text), listed(rows, returns), *members(under)])
    value = repr(thing)
    short = value if len(value) < 90 and "\n" not in value and "<" not in value and "/" not in value else type(thing).__name__
    return block("py:data", name, [plain(said.get(name, "")), f"Value: {code(short)}"])


def page(module, made_in):
    "The page of a module; `made_in` is its notebook's (title, path on the site)."
    said, short = said_after(module), module.__name__.removeprefix("rheumkit.")
    entries = [entry(module, name, said) for name in module.__all__]
    lead = f"Made in the notebook [{made_in[0]}]({posixpath.relpath(made_in[1], posixpath.dirname(page_of(module.__name__)))})." if made_in else ""
    links = "\n".join(e for e in entries if e.startswith("- "))
    parts = [f"# {short}", f"```{{py:module}} {module.__name__}\n```", plain(module.__doc__), lead, links, *(e for e in entries if not e.startswith("- "))]
    return "\n\n".join(filter(None, parts)) + "\n"

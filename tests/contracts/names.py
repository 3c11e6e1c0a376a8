"""Which outside names a Python source uses, by their full dotted names, and where."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """An import, or an attribute of something imported: `dt.now` after `from datetime import datetime as dt`."""

    line: int
    name: str


def imports(tree: ast.AST) -> Iterator[Use]:
    """Every import, also inside functions; `from a import b` is a use of a.b. Relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Use(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (Use(node.lineno, f"{module}.{alias.name}") for alias in node.names)


def uses(tree: ast.AST) -> Iterator[Use]:
    """Every import, every dotted use of an imported name, and every bare name that is not bound here (builtins)."""
    yield from imports(tree)
    known = _bound_by_imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, *rest = _dotted(node).split(".")
            if first:
                yield Use(node.lineno, ".".join([known.get(first, first), *rest]))


def _bound_by_imports(tree: ast.AST) -> dict[str, str]:
    """Local name → full name."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def _dotted(node: ast.expr) -> str:
    """ "a.b.c" for that expression; "" for anything that does not begin with a plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""

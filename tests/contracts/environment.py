"""Every environment variable that this project reads: the fields of its settings, and direct reads."""

import ast
import importlib
import re
from collections.abc import Iterator

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy.local.stack_settings import ADDRESSES, PORTS
from services.runtime import settings as runtime_settings
from tests.contracts.checkout_tree import python_files, read
from tests.contracts.names import uses

# How documents write a setting that every service has, each under its own prefix.
PLACEHOLDER = "<SERVICE>_"
COMMON_FIELDS = frozenset(runtime_settings.DatabaseSettings.model_fields)


def settings_classes() -> list[type[BaseSettings]]:
    """Every class of settings that a process or a library of ours reads; the runtime's bases have no prefix."""
    for path in python_files("services", "orchestrator", "deploy"):
        if re.search(r"^class \w+\(\w*Settings\)", read(path), re.MULTILINE):
            importlib.import_module(path.removesuffix(".py").replace("/", "."))
    found = [
        cls
        for cls in _descendants(BaseSettings)
        if cls.__module__.startswith(("services.", "orchestrator.", "deploy."))
    ]
    return [cls for cls in found if cls.__module__ != runtime_settings.__name__]


def variables_of(settings: type[BaseSettings]) -> Iterator[tuple[str, ...]]:
    """For each field the spellings that document it: its variable, and for common fields the one for every service."""
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        aliases = _aliases(field)
        if aliases:
            yield from ((alias,) for alias in aliases)
        elif name in COMMON_FIELDS:
            yield (f"{prefix}{name}".upper(), f"{PLACEHOLDER}{name.upper()}")
        else:
            yield (f"{prefix}{name}".upper(),)


def variables_read(path: str) -> Iterator[tuple[str, ...]]:
    """Variables that a module reads from os.environ by itself; one that begins with some prefix stands for all."""
    tree = ast.parse(read(path))
    reads = {use.line for use in uses(tree) if use.name.startswith(("os.environ", "os.getenv"))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and node.lineno in reads and _is_read(node.func):
            yield from _spellings(node.args[0])
        elif isinstance(node, ast.Subscript) and node.lineno in reads and _dotted(node.value) == "os.environ":
            yield from _spellings(node.slice)


def stack_variables() -> list[tuple[str, ...]]:
    """Where the local stack's processes listen."""
    return [(name,) for name, _ in [*ADDRESSES.values(), *PORTS.values()]]


def _descendants(cls: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


def _aliases(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _is_read(function: ast.expr) -> bool:
    return _dotted(function) in ("os.environ.get", "os.environ.pop", "os.getenv")


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node)


def _spellings(name: ast.expr) -> Iterator[tuple[str, ...]]:
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        yield (name.value,)
    elif isinstance(name, ast.JoinedStr) and isinstance(name.values[-1], ast.Constant):
        yield (f"{PLACEHOLDER}{str(name.values[-1].value).lstrip('_')}",)

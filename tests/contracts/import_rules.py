"""Who may import whom: the table of the design, one row per kind of module.

    domain       standard library without clock, chance and I/O; own errors; runtime's errors and ids
    store        asyncpg, own domain and errors, runtime; the only place that touches the database
    servicer     own domain, store and errors, use cases, runtime, generated code; no try/except
    use cases    several calls in a row that no command covers: own package, runtime, generated code; no library
    qualification the library for conditions; own domain and errors; as pure as the domain
    edges        main, webhooks, payments …: own package, runtime, their library; never asyncpg
    workflows    temporalio.workflow, .common, .exceptions, generated messages, one another, derived ids
    activities   temporalio.activity, .exceptions, generated stubs, runtime, the steps
    runtime      no service; of generated code only what all services share: errors

A name in these lists stands for itself and for everything below it.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.contracts.names import Use, imports, uses

# The standard library as far as it answers the same for the same arguments.
PURE = (
    *("__future__", "abc", "base64", "binascii", "bisect", "calendar", "collections", "contextlib", "copy"),
    *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac"),
    *("itertools", "json", "math", "numbers", "operator", "re", "statistics", "string", "struct", "textwrap"),
    *("types", "typing", "unicodedata", "uuid"),
)
STANDARD_LIBRARY = tuple(sys.stdlib_module_names)

CLOCK_AND_CHANCE = (
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *(f"uuid.{name}" for name in ("uuid1", "uuid4", "uuid6", "uuid7", "uuid8", "getnode")),
    "services.runtime.ids.new_id",
)
INPUT_AND_OUTPUT = ("open", "print", "input", "exec", "eval", "__import__")
# Found at run time, where no reader and no test sees it.
HIDDEN_IMPORTS = ("importlib.import_module", "__import__")

# What Temporal's event loop runs in a determined order and takes its time from the history. The rest of asyncio
# looks at sets of tasks, at the real clock, or at the outside world.
ASYNCIO_IN_WORKFLOWS = (
    *("CancelledError", "Future", "Task", "create_task", "current_task", "ensure_future", "gather", "shield"),
    *("Event", "Lock", "Semaphore"),
)
GENERATED_MESSAGES = ("google.protobuf", "google.rpc", "quittance")
GENERATED_CODE = (*GENERATED_MESSAGES, "google.api")


@dataclass(frozen=True)
class Rule:
    """One row. `{own}` is the module's own service. None allows everything that is not denied."""

    may_import: tuple[str, ...] | None
    may_not_use: tuple[str, ...] = ()
    # Of these modules nothing but these names.
    only_of: tuple[tuple[str, tuple[str, ...]], ...] = ()
    no_try: bool = False
    is_replayed: bool = False


DOMAIN = Rule(
    may_import=(
        *(*PURE, "{own}.domain", "{own}.errors"),
        *("services.runtime.errors", "services.runtime.findings", "services.runtime.ids"),
    ),
    may_not_use=(*CLOCK_AND_CHANCE, *INPUT_AND_OUTPUT),
)
ERRORS = Rule(may_import=(*PURE, "services.runtime.errors"), may_not_use=(*CLOCK_AND_CHANCE, *INPUT_AND_OUTPUT))
STORE = Rule(
    may_import=(*STANDARD_LIBRARY, "asyncpg", "{own}.domain", "{own}.errors", "{own}.store", "services.runtime"),
    may_not_use=HIDDEN_IMPORTS,
)
# Of checkout: what speaks to other services, to providers or to Temporal, and to the store before and after it.
USE_CASES = ("pay_pages", "placing", "quoting", "reconciling", "refunding", "refusals", "senders", "unfinished")
USE_CASE = Rule(
    may_import=(*STANDARD_LIBRARY, *GENERATED_CODE, "{own}", "services.runtime"),
    may_not_use=(*HIDDEN_IMPORTS, "{own}.main"),
)
# Conditions that somebody typed: the one place that asks the library for them.
QUALIFICATION = Rule(
    may_import=(*PURE, "cel", "{own}.domain", "{own}.errors"),
    may_not_use=(*CLOCK_AND_CHANCE, *INPUT_AND_OUTPUT),
)
SERVICER = Rule(
    may_import=(
        *(*STANDARD_LIBRARY, *GENERATED_CODE, "grpc.aio", "grpc"),
        *("{own}.domain", "{own}.store", "{own}.errors", "{own}.servicer", "services.runtime"),
        *(f"{{own}}.{name}" for name in (*USE_CASES, "qualification")),
    ),
    may_not_use=(*HIDDEN_IMPORTS, "contextlib.suppress"),
    only_of=(("grpc", ("aio.ServicerContext",)),),
    no_try=True,
)
EDGE = Rule(may_import=None, may_not_use=(*HIDDEN_IMPORTS, "asyncpg", "temporalio"))
WORKFLOW_CLIENT = Rule(may_import=None, may_not_use=(*HIDDEN_IMPORTS, "asyncpg"))
BUSINESS = ("quittance.ledger", "quittance.vouchers", "quittance.checkout", "quittance.money")
RUNTIME = Rule(may_import=None, may_not_use=(*HIDDEN_IMPORTS, *BUSINESS, "temporalio"))
# How the others reach Temporal, and what they send there.
TO_TEMPORAL = Rule(may_import=None, may_not_use=(*HIDDEN_IMPORTS, *BUSINESS))
WORKFLOW = Rule(
    may_import=(
        *(*PURE, *GENERATED_MESSAGES, "asyncio", "orchestrator"),
        *("temporalio.workflow", "temporalio.common", "temporalio.exceptions", "services.runtime.ids.derived_id"),
    ),
    may_not_use=(
        *(*CLOCK_AND_CHANCE, *INPUT_AND_OUTPUT),
        *(
            f"orchestrator.{name}"
            for name in (
                "abandoned_orders",
                "activities",
                "clearing_balances",
                "main",
                "namespace",
                "schedules",
                "settings",
                "setup",
            )
        ),
    ),
    only_of=(("asyncio", ASYNCIO_IN_WORKFLOWS),),
    is_replayed=True,
)
ACTIVITIES = Rule(
    may_import=(
        *(*STANDARD_LIBRARY, *GENERATED_CODE, "grpc", "grpc.aio", "services.runtime", "orchestrator.steps"),
        *("temporalio.activity", "temporalio.exceptions"),
    ),
    may_not_use=HIDDEN_IMPORTS,
)
ORCHESTRATOR_EDGE = Rule(may_import=None, may_not_use=HIDDEN_IMPORTS)
DEPLOY = Rule(may_import=None)

RULES_OF_A_SERVICE = {
    "domain": DOMAIN,
    "errors": ERRORS,
    "store": STORE,
    "servicer": SERVICER,
    "main": EDGE,
    "settings": EDGE,
    "webhooks": EDGE,
    "payments": EDGE,
    "peers": EDGE,
    "sweeps": EDGE,
    "proofs": EDGE,
    "code_making": EDGE,
    "finding_log": EDGE,
    "qualification": QUALIFICATION,
    "workflow_client": WORKFLOW_CLIENT,
    "payment_workflow_client": WORKFLOW_CLIENT,
    **dict.fromkeys(USE_CASES, USE_CASE),
}
# Everything else in orchestrator/ is replayed from histories, or imported by what is.
RULES_OF_THE_ORCHESTRATOR = {
    "activities": ACTIVITIES,
    **dict.fromkeys(
        ("abandoned_orders", "clearing_balances", "main", "namespace", "schedules", "settings", "setup"),
        ORCHESTRATOR_EDGE,
    ),
}


def violations(path: str, text: str) -> list[str]:
    """What this source does against the rules, each as "path:line: what"."""
    rule, own = _rule_for(path)
    if rule is None:
        return [f"{path}:1: the table of the design has no row for this module"]
    tree = ast.parse(text)
    found = {
        *_borders_crossed(tree, own),
        *_imports_not_allowed(tree, rule, own),
        *_names_denied(tree, rule, own),
        *_names_not_allowed_of(tree, rule),
        *(_try_statements(tree) if rule.no_try else ()),
        *(_sets_iterated(tree) if rule.is_replayed else ()),
    }
    return [f"{path}:{use.line}: {use.name}" for use in sorted(found, key=lambda use: (use.line, use.name))]


def _rule_for(path: str) -> tuple[Rule | None, str]:
    """The row for a module, and the package that it belongs to."""
    parts = PurePosixPath(path).with_suffix("").parts
    folder = parts[0]
    if folder == "deploy":
        return DEPLOY, "deploy"
    if parts[-1] == "__init__" and len(parts) <= 3:
        return Rule(may_import=()), folder
    if folder == "orchestrator":
        return RULES_OF_THE_ORCHESTRATOR.get(parts[1], WORKFLOW), "orchestrator"
    own = ".".join(parts[:2])
    if own == "services.runtime":
        return (TO_TEMPORAL if parts[2] in ("payloads", "temporal") else RUNTIME), own
    return RULES_OF_A_SERVICE.get(parts[2]), own


def _borders_crossed(tree: ast.AST, own: str) -> Iterator[Use]:
    """Between packages there is only what is below: runtime for everybody, nothing of one another."""
    for use in imports(tree):
        package = ".".join(use.name.split(".")[:2]) if use.name.startswith("services") else use.name.split(".")[0]
        if use.name.startswith("."):
            yield Use(use.line, "imports relatively: write the full name")
        elif package in ("tests", "buf") or (
            package.split(".")[0] in ("services", "orchestrator", "deploy") and package not in (own, "services.runtime")
        ):
            yield Use(use.line, f"{own} imports {use.name}")


def _imports_not_allowed(tree: ast.AST, rule: Rule, own: str) -> Iterator[Use]:
    if rule.may_import is None:
        return
    allowed = [name.replace("{own}", own) for name in rule.may_import]
    for use in imports(tree):
        if not _is_below(use.name, allowed):
            yield Use(use.line, f"imports {use.name}")


def _names_denied(tree: ast.AST, rule: Rule, own: str) -> Iterator[Use]:
    denied = [name.replace("{own}", own) for name in rule.may_not_use]
    for use in uses(tree):
        if _is_below(use.name, denied):
            yield Use(use.line, f"uses {use.name}")


def _names_not_allowed_of(tree: ast.AST, rule: Rule) -> Iterator[Use]:
    """What is taken out of a module that is only open in part. Its parents on the way there are no use of it."""
    for module, names in rule.only_of:
        allowed = [f"{module}.{name}" for name in names]
        for use in uses(tree):
            is_on_the_way = any(f"{name}.".startswith(f"{use.name}.") for name in allowed)
            if _is_below(use.name, [module]) and not is_on_the_way and not _is_below(use.name, allowed):
                yield Use(use.line, f"uses {use.name}")


def _try_statements(tree: ast.AST) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            yield Use(node.lineno, "has a try: errors are mapped in one place, the interceptor")


def _sets_iterated(tree: ast.AST) -> Iterator[Use]:
    """The order of a set of strings is another one in every process, so a replay would go another way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
            yield Use(node.iter.lineno, "iterates over a set: sort it")


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp)


def _is_below(name: str, parents: Iterable[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)

"""Who may import whom (design, section 2). Workflows run without Temporal's sandbox, so these rules guard replays."""

import ast
import re

import pytest

from tests.contracts.checkout_tree import python_files, read
from tests.contracts.import_rules import violations
from tests.contracts.names import uses

SOURCES = python_files("services", "orchestrator", "deploy")


@pytest.mark.parametrize("path", SOURCES)
def test_import_by_any_module_is_in_the_table(path: str) -> None:
    assert violations(path, read(path)) == []


FORBIDDEN = {
    "domain imports grpc": ("services/ledger/domain.py", "import grpc"),
    "domain imports generated code": ("services/ledger/domain/x.py", "from quittance.ledger.v1 import ledger_pb2"),
    "domain imports the driver": ("services/ledger/domain/x.py", "import asyncpg"),
    "domain imports temporalio": ("services/ledger/domain/x.py", "from temporalio import workflow"),
    "domain imports its store": ("services/ledger/domain/x.py", "from services.ledger.store import write"),
    "domain imports more of runtime": ("services/ledger/domain/x.py", "from services.runtime.database import Pool"),
    "domain evaluates expressions": ("services/vouchers/domain/x.py", "import cel"),
    "qualification reads the clock": ("services/vouchers/qualification.py", "from time import time"),
    "domain waits": ("services/ledger/domain/x.py", "import asyncio"),
    "domain reads the clock": ("services/ledger/domain/x.py", "from datetime import datetime\ndatetime.now()"),
    "domain reads the clock by another name": ("services/ledger/domain.py", "import datetime as d\nd.datetime.now()"),
    "domain asks which day it is": ("services/ledger/domain.py", "from datetime import date as d\nx = d.today"),
    "domain reads the other clock": ("services/ledger/domain/x.py", "from time import monotonic"),
    "domain throws dice": ("services/ledger/domain/x.py", "def f():\n    import random"),
    "domain keeps secrets": ("services/ledger/domain/x.py", "import secrets"),
    "domain makes an id": ("services/ledger/domain/x.py", "from uuid import uuid4"),
    "domain makes an id of its module": ("services/ledger/domain/x.py", "import uuid\nuuid.uuid1()"),
    "domain makes an id by runtime": ("services/ledger/domain/x.py", "from services.runtime.ids import new_id"),
    "domain makes an id by an alias": (
        "services/ledger/domain/x.py",
        "from services.runtime import ids as i\ni.new_id()",
    ),
    "domain reads a file": ("services/ledger/domain/x.py", "open('x')"),
    "domain imports relatively": ("services/ledger/domain/x.py", "from ..store import write"),
    "errors import domain": ("services/ledger/errors.py", "from services.ledger.domain import kinds"),
    "store imports generated code": ("services/ledger/store.py", "from quittance.ledger.v1 import ledger_pb2"),
    "store imports grpc": ("services/ledger/store/load.py", "import grpc"),
    "servicer imports the driver": ("services/ledger/servicer.py", "import asyncpg"),
    "servicer answers by itself": ("services/ledger/servicer.py", "import grpc\nx = grpc.StatusCode.OK"),
    "servicer catches": ("services/ledger/servicer/x.py", "try:\n    x = 1\nexcept KeyError:\n    pass"),
    "servicer swallows": ("services/ledger/servicer/x.py", "import contextlib\nwith contextlib.suppress(OSError): ..."),
    "a use case imports a library": ("services/checkout/placing.py", "import aiohttp"),
    "a use case imports the driver": ("services/checkout/quoting.py", "import asyncpg"),
    "a use case imports the process": ("services/checkout/placing.py", "from services.checkout import main"),
    "main imports the driver": ("services/ledger/main.py", "import asyncpg"),
    "main imports temporalio": ("services/checkout/main.py", "from temporalio.client import Client"),
    "a service imports another": ("services/ledger/main.py", "import services.vouchers.errors"),
    "a service imports the orchestrator": ("services/checkout/webhooks.py", "from orchestrator import order_ids"),
    "a service imports deploy": ("services/checkout/main.py", "from deploy.local import stack"),
    "a service imports tests": ("services/checkout/main.py", "from tests import shop"),
    "a provider imports temporalio": ("services/checkout/payments/x.py", "import temporalio.client"),
    "a module hides its import": ("services/checkout/main.py", "import importlib\nimportlib.import_module('grpc')"),
    "a module without a row": ("services/ledger/utilities.py", ""),
    "a package does something": ("services/ledger/__init__.py", "import grpc"),
    "runtime imports a service": ("services/runtime/x.py", "from services.ledger import errors"),
    "runtime imports generated code": ("services/runtime/x.py", "from quittance.ledger.v1 import ledger_pb2"),
    "runtime imports temporalio": ("services/runtime/server.py", "import temporalio"),
    "a workflow imports all of temporalio": ("orchestrator/refund_workflow.py", "import temporalio"),
    "a workflow imports an activity": ("orchestrator/saga.py", "from temporalio import activity"),
    "a workflow imports a client": ("orchestrator/saga.py", "from temporalio.client import Client"),
    "a workflow imports the activities": (
        "orchestrator/steps.py",
        "from orchestrator.activities import activities_for",
    ),
    "a workflow imports the settings": ("orchestrator/order_ids.py", "from orchestrator import settings"),
    "a workflow imports grpc": ("orchestrator/order_steps.py", "import grpc"),
    "a workflow reads the clock": ("orchestrator/saga.py", "import datetime\ndatetime.datetime.now()"),
    "a workflow reads the other clock": ("orchestrator/saga.py", "import time"),
    "a workflow makes an id": ("orchestrator/saga.py", "from services.runtime.ids import new_id"),
    "a workflow makes an id by hand": ("orchestrator/saga.py", "from uuid import uuid4 as u"),
    "a workflow reads the environment": ("orchestrator/saga.py", "import os"),
    "a workflow writes": ("orchestrator/saga.py", "print('x')"),
    "a workflow waits for any": ("orchestrator/saga.py", "import asyncio\nasyncio.wait([])"),
    "a workflow takes what comes first": ("orchestrator/saga.py", "from asyncio import as_completed"),
    "a workflow sleeps": ("orchestrator/saga.py", "import asyncio as a\na.sleep(1)"),
    "a workflow waits in real time": ("orchestrator/saga.py", "import asyncio\nasyncio.wait_for(x, 1)"),
    "a workflow starts a thread": ("orchestrator/saga.py", "import asyncio\nasyncio.to_thread(f)"),
    "a workflow iterates over a set": ("orchestrator/saga.py", "for x in {'a', 'b'}: ..."),
    "a workflow lists a set": ("orchestrator/saga.py", "y = [x for x in set(names)]"),
    "an activity imports a service": ("orchestrator/activities.py", "from services.ledger.errors import HoldNotFound"),
    "an activity imports a workflow": ("orchestrator/activities.py", "from orchestrator import checkout_workflow"),
    "an activity imports a client": ("orchestrator/activities.py", "from temporalio.client import Client"),
    "the worker imports a service": ("orchestrator/main.py", "from services.checkout import errors"),
    "deploy imports a service": ("deploy/local/stack.py", "from services.ledger.main import LedgerSettings"),
    "deploy imports the orchestrator": ("deploy/local/demo.py", "import orchestrator.order_ids"),
}


@pytest.mark.parametrize(("path", "text"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_import_against_the_table_is_found(path: str, text: str) -> None:
    assert violations(path, text)


ALLOWED = {
    "domain is pure": (
        "services/ledger/domain/x.py",
        "from datetime import UTC, datetime\nimport services.ledger.errors\ndatetime(2026, 1, 1, tzinfo=UTC)",
    ),
    "domain derives ids": (
        "services/ledger/domain.py",
        "from uuid import UUID, uuid5\nfrom services.runtime.ids import derived_id, fingerprint",
    ),
    "store queries": ("services/ledger/store.py", "import asyncpg\nfrom services.runtime.sql import load_queries"),
    "servicer names its context": ("services/ledger/servicer.py", "import grpc\nC = grpc.aio.ServicerContext"),
    "the workflow client speaks to Temporal": (
        "services/checkout/workflow_client.py",
        "from temporalio.client import Client",
    ),
    "payloads are Temporal's": ("services/runtime/payloads.py", "import temporalio.converter"),
    "a workflow waits": (
        "orchestrator/saga.py",
        "import asyncio\nfrom temporalio import workflow\nworkflow.now()\nworkflow.wait([])\nasyncio.gather()",
    ),
    "an activity calls": ("orchestrator/activities.py", "import grpc\nx = grpc.aio.AioRpcError"),
}


@pytest.mark.parametrize(("path", "text"), ALLOWED.values(), ids=ALLOWED.keys())
def test_import_within_the_table_is_let_through(path: str, text: str) -> None:
    assert violations(path, text) == []


BUSINESS_WORDS = (
    *("voucher", "coupon", "campaign", "redemption", "redeem", "wallet", "ledger", "checkout", "customer"),
    *("payment", "refund", "invoice", "subscription", "price", "product", "provider", "money", "currency"),
)
# An ordinary word elsewhere ("in order to"): a business word in a name.
BUSINESS_WORD_IN_NAMES = re.compile(r"(^|_)orders?(_|$)|Order")


def business_words(path: str, text: str) -> list[str]:
    """Where a business word stands, as "path:line: word": any in the text, "order" in names."""
    pattern = re.compile("|".join(BUSINESS_WORDS), re.IGNORECASE)
    found = [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]
    names = (use for use in uses(ast.parse(text)) if BUSINESS_WORD_IN_NAMES.search(use.name.rpartition(".")[2]))
    return found + [f"{path}:{use.line}: {use.name}" for use in names]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.startswith("services/runtime/")])
def test_runtime_says_no_business_word(path: str) -> None:
    assert business_words(path, read(path)) == []


@pytest.mark.parametrize("text", ["# a Voucher", "LEDGER_URL = 1", "def f():\n    return order_id", "x = Order()"])
def test_business_word_in_runtime_is_found(text: str) -> None:
    assert business_words("services/runtime/x.py", text)


def test_ordinary_words_in_runtime_are_let_through() -> None:
    assert business_words("services/runtime/x.py", '"""In order."""\nborder = disorderly') == []


SQL = re.compile(
    r"\A\s*(select\b.*\bfrom|insert\s+into|update\b.*\bset|delete\s+from|with\b.*\bas\s*\()",
    re.IGNORECASE | re.DOTALL,
)


def statements_outside_sql_files(path: str, text: str) -> list[str]:
    """String literals that look like SQL, as "path:line"; what stands alone as an expression is a docstring."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        f"{path}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if SQL.match(node.value)
    ]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.startswith("services/") and "/runtime/" not in p])
def test_sql_of_services_stays_in_sql_files(path: str) -> None:
    assert statements_outside_sql_files(path, read(path)) == []


def test_sql_in_python_is_found() -> None:
    source = 'def f():\n    """Update the set."""\n    return "update holds set state = $1"'
    assert statements_outside_sql_files("services/ledger/store.py", source) == ["services/ledger/store.py:3"]

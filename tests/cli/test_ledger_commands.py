"""The `quittance ledger` commands as an operator runs them: a process of its own against a running ledger."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import Served, served, tell_story
from tests.ledger.soundness import assert_ledger_sound

DATABASE = "ledger_cli"


@dataclass
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass
class Operator:
    """Somebody with a terminal, and a ledger of his own."""

    server: Served
    administrator: asyncpg.Connection
    superuser_url: str

    async def runs(self, *arguments: str, address: str = "") -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "ledger", *arguments),
            env={**os.environ, "LEDGER_ADDRESS": address or self.server.address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def operator(postgres: EmbeddedPostgres) -> AsyncIterator[Operator]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "ledger")
    await migrate_up(postgres.url(DATABASE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    administrator = await asyncpg.connect(postgres.superuser_url(DATABASE))
    async with served(postgres.url(DATABASE, "ledger_app"), seal_interval_s=0.05) as server:
        yield Operator(server, administrator, postgres.superuser_url(DATABASE))
    await administrator.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


async def until_sealed(operator: Operator) -> None:
    """Waits for the sealing in the background."""
    sealed = "SELECT (SELECT sum(next_seq - 1) FROM books) = (SELECT sum(to_seq - from_seq + 1) FROM seals)"
    async with asyncio.timeout(30):
        while not await operator.administrator.fetchval(sealed):
            await asyncio.sleep(0.05)


async def add_five_to_revenue(operator: Operator) -> None:
    await operator.administrator.execute("UPDATE accounts SET posted_minor = posted_minor + 5 WHERE code = 'revenue'")


async def test_verify_of_a_sound_ledger_is_fine_and_keeps_the_seals(operator: Operator, tmp_path: Path) -> None:
    """L-7: the newest seals, outside the database."""
    await tell_story(operator.server.ledger)
    await until_sealed(operator)
    seals = tmp_path / "seals.json"
    ran = await operator.runs("verify", "--seals", str(seals))
    assert (ran.code, "verifying" in ran.err) == (0, True)
    (kept,) = json.loads(seals.read_text()).values()
    assert kept["to_sequence"] == await operator.administrator.fetchval("SELECT max(to_seq) FROM seals")
    assert (await operator.runs("verify", "--seals", str(seals))).code == 0
    seals.write_text(seals.read_text().replace(kept["sha256"], "00" * 32))
    ran = await operator.runs("verify", "--seals", str(seals))
    assert (ran.code, "KNOWN_SEAL_DIFFERS" in ran.out, "00" * 32 in seals.read_text()) == (1, True, True)


async def test_verify_and_findings_of_a_tampered_ledger_say_what_is_wrong(operator: Operator) -> None:
    """L2: account and difference are named."""
    await tell_story(operator.server.ledger)
    assert (await operator.runs("findings")).code == 0
    await add_five_to_revenue(operator)
    for command in ("verify", "findings"):
        ran = await operator.runs(command)
        assert ran.code == 1
        assert "ACCOUNT_SUM_DIFFERS" in ran.out
        assert "account revenue OMR, posted: expected" in ran.out
        assert "which is +5" in ran.out


async def test_findings_that_are_gone_are_listed_when_all_are_wanted(operator: Operator) -> None:
    await tell_story(operator.server.ledger)
    await add_five_to_revenue(operator)
    await operator.runs("verify")
    await operator.administrator.execute("UPDATE accounts SET posted_minor = posted_minor - 5 WHERE code = 'revenue'")
    assert (await operator.runs("verify")).code == 0
    assert (await operator.runs("findings")).code == 0
    assert (await operator.runs("findings", "--all")).code == 1


async def test_trial_balance_of_a_ledger_that_does_not_add_up_is_a_finding(operator: Operator) -> None:
    await tell_story(operator.server.ledger)
    ran = await operator.runs("trial-balance")
    assert (ran.code, "clearing:card" in ran.out, "total" in ran.out) == (0, True, True)
    await add_five_to_revenue(operator)
    assert (await operator.runs("trial-balance")).code == 1
    assert (await operator.runs("trial-balance", "--account", "revenue")).code == 0


async def test_statement_shows_entries_between_two_balances(operator: Operator) -> None:
    customer = await tell_story(operator.server.ledger)
    ran = await operator.runs("statement", customer.owner_id, "--currency", "OMR")
    assert ran.code == 0
    assert "opening balance" in ran.out
    assert "closing balance" in ran.out
    assert "-250" in ran.out


async def test_command_without_a_ledger_says_so(operator: Operator) -> None:
    ran = await operator.runs("verify", address=f"127.0.0.1:{free_port()}")
    assert (ran.code, "UNAVAILABLE" in ran.err) == (2, True)


WRONG = (
    (),
    ("verify", "--book", "x"),
    ("verify", "--book", "99"),
    ("statement", "somebody", "--currency", "OMR"),
    ("statement", "01890a5d-ac96-774b-bcce-b302099a8057", "--currency", "omani"),
    ("import-wallets", "--csv", "/nowhere.csv", "--source", "old", "--scale", "2", "--currency", "OMR"),
    ("import-wallets", "--csv", "/nowhere.csv", "--source", "old", "--scale", "2"),
    ("import-wallets", "--csv", "/nowhere.csv", "--source", "o:d", "--scale", "2", "--currency", "OMR"),
    ("import-wallets", "--csv", "/nowhere.csv", "--source", "old", "--scale", "99", "--currency", "OMR"),
    ("import-wallets", "--source", "old", "--scale", "2", "--currency", "OMR"),
)


async def test_wrong_usage_is_answered_by_its_own_exit_code(operator: Operator) -> None:
    answers = await asyncio.gather(*(operator.runs(*arguments) for arguments in WRONG))
    assert [(ran.code, bool(ran.err)) for ran in answers] == [(2, True)] * len(WRONG)


# The import ----------------------------------------------------------------------------------------------------------


async def make_table(operator: Operator, id_type: str, values: str) -> None:
    """The old system's table, beside the ledger's for once."""
    await operator.administrator.execute(
        f"CREATE SCHEMA old; CREATE TABLE old.wallets (user_id {id_type}, balance numeric);"
        f"INSERT INTO old.wallets {values}"
    )


def from_table(operator: Operator, *more: str) -> tuple[str, ...]:
    where = ("--from-url", operator.superuser_url, "--table", "old.wallets")
    return ("import-wallets", *where, "--source", "old", "--scale", "3", "--currency", "OMR", *more)


def from_csv(path: Path, *more: str) -> tuple[str, ...]:
    return ("import-wallets", "--csv", str(path), "--source", "old", "--scale", "2", *more)


@pytest.mark.parametrize("id_type", ["bigint", "text", "uuid"])
async def test_import_of_a_table_gives_every_wallet_its_balance_once(operator: Operator, id_type: str) -> None:
    """L9: thousands of wallets, run three times; the old table stays as it was."""
    user_id = "gen_random_uuid()" if id_type == "uuid" else f"number::{id_type}"
    await make_table(operator, id_type, f"SELECT {user_id}, number * 1.005 FROM generate_series(0, 3500) AS number")
    before = await operator.administrator.fetch("SELECT *, xmin::text FROM old.wallets ORDER BY user_id")
    assert (await operator.runs(*from_table(operator, "--dry-run"))).code == 0
    assert await operator.administrator.fetchval("SELECT count(*) FROM transfers") == 0
    for _ in range(2):
        ran = await operator.runs(*from_table(operator))
        assert (ran.code, ran.out.count("refused")) == (0, 1)
        grants = await operator.administrator.fetchrow(
            "SELECT count(*), sum(amount_minor), min(category), max(category) FROM grants"
        )
        assert tuple(grants) == (3500, sum(number * 1005 for number in range(3501)), "paid", "paid")
    assert await operator.administrator.fetch("SELECT *, xmin::text FROM old.wallets ORDER BY user_id") == before
    owners = {str(row["user_id"]) for row in before if row["balance"] > 0}
    stored = {str(row[0]) for row in await operator.administrator.fetch("SELECT owner_id FROM grants")}
    assert (stored == owners) is (id_type == "uuid")
    await assert_ledger_sound(operator.administrator)
    assert (await operator.runs("verify")).code == 0


BAD_ROWS = """user_id,balance,currency
1,10.50,OMR
2,-3,OMR
3,12.345,OMR
,5,OMR
4,NaN,OMR
5,1e3,OMR
6,7,omr
1,10.50,OMR
1,2.5,USD
7,0.00,OMR
8,99999999999999999,OMR
9,"1,000",OMR
10,-0.00,OMR
11
12,4.5000,OMR
"""
REFUSED_LINES = {3, 4, 5, 6, 7, 8, 9, 12, 13, 15}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_import_of_bad_rows_names_each_and_brings_the_others_in(
    operator: Operator, tmp_path: Path, dry_run: bool
) -> None:
    old = tmp_path / "wallets.csv"
    old.write_text(BAD_ROWS)
    more = ("--dry-run",) if dry_run else ()
    ran = await operator.runs(*from_csv(old, "--currency-column", "currency", *more))
    assert ran.code == 1
    lines = {int(line.split(",")[0].removeprefix("line ")) for line in ran.out.splitlines() if line.startswith("line ")}
    assert lines == REFUSED_LINES
    sums = await operator.administrator.fetch("SELECT currency, sum(amount_minor) FROM grants GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in sums] == ([] if dry_run else [("OMR", 1050 + 450), ("USD", 250)])
    assert old.read_text() == BAD_ROWS


async def test_import_of_a_balance_that_has_changed_is_refused_and_the_totals_differ(
    operator: Operator, tmp_path: Path
) -> None:
    """What was brought in is the ledger's now: an old balance neither adds to it nor replaces it."""
    old = tmp_path / "wallets.csv"
    old.write_text("user_id,balance\n1,10\n2,20\n")
    assert (await operator.runs(*from_csv(old, "--currency", "OMR"))).code == 0
    old.write_text("user_id,balance\n1,15\n2,20\n3,30\n")
    ran = await operator.runs(*from_csv(old, "--currency", "OMR"))
    assert (ran.code, "line 2, user 1: the ledger says" in ran.out, "-500" in ran.out) == (1, True, True)
    assert await operator.administrator.fetchval("SELECT sum(amount_minor) FROM grants") == 1000 + 2000 + 3000


async def test_import_of_columns_that_are_not_there_is_wrong_usage(operator: Operator, tmp_path: Path) -> None:
    old = tmp_path / "wallets.csv"
    old.write_text("user,balance\n1,10\n")
    ran = await operator.runs(*from_csv(old, "--currency", "OMR"))
    assert (ran.code, "has no column user_id" in ran.err) == (2, True)
    old.write_bytes(b"user_id,balance\n\xff,1\n")
    assert (await operator.runs(*from_csv(old, "--currency", "OMR"))).code == 2
    assert (await operator.runs(*from_table(operator))).code == 2

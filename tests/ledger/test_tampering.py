"""L2, L8 and L-1 to L-8: whatever is done to the rows by somebody who may do everything is found and named."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from quittance.ledger.v1.proof_pb2 import SealReference
from services.ledger.main import LedgerSettings
from services.ledger.proofs import Proofs
from services.ledger.store.proof_store import ProofStore
from services.runtime.database import open_pool
from services.runtime.migrations import migrate_up, migrations_of
from tests.ledger.proving import Report, served, tell_story, verify

TEMPLATE = "ledger_untouched"
TAMPERED = "ledger_tampered"


async def seal_all(database_url: str, transfers_max: int = 7) -> None:
    """Seals of a few transfers each."""
    async with open_pool(LedgerSettings(database_url=database_url), "tests") as pool:
        await Proofs(ProofStore(pool, 2), transfers_max, timedelta(days=1)).seal()


@pytest.fixture(scope="module")
async def untouched(postgres: EmbeddedPostgres) -> AsyncIterator[dict[int, SealReference]]:
    """A sealed ledger to be copied; its newest seals, as somebody outside keeps them."""
    await asyncio.to_thread(postgres.create_database, TEMPLATE, "ledger")
    await migrate_up(postgres.url(TEMPLATE, "ledger_owner"), migrations_of("ledger"), "ledger_app")
    app_url = postgres.url(TEMPLATE, "ledger_app")
    async with served(app_url) as server:
        for number in range(6):
            await tell_story(server.ledger, owner_id=UUID(int=number))
        await seal_all(app_url)
        report = await verify(server.proof)
    assert report.findings == []
    yield {book_id: book.newest_seal for book_id, book in report.books.items() if book.HasField("newest_seal")}
    await asyncio.to_thread(postgres.drop_database, TEMPLATE)


@dataclass
class Tampering:
    """A copy of the ledger, and an administrator in it for whom no trigger fires."""

    administrator: asyncpg.Connection
    app_url: str
    seals: dict[int, SealReference]

    async def does(self, statement: str) -> None:
        await self.administrator.execute(statement)

    async def is_found(self, *, with_known_seals: bool = False) -> Report:
        async with served(self.app_url) as server:
            return await verify(server.proof, list(self.seals.values()) if with_known_seals else ())


@pytest.fixture
async def tampering(postgres: EmbeddedPostgres, untouched: dict[int, SealReference]) -> AsyncIterator[Tampering]:
    copy = f"CREATE DATABASE {TAMPERED} TEMPLATE {TEMPLATE} OWNER ledger_owner"
    await asyncio.to_thread(postgres.run_sql, "postgres", f"{copy};")
    administrator = await asyncpg.connect(postgres.superuser_url(TAMPERED))
    await administrator.execute("SET session_replication_role = replica")
    for table in ("transfers", "seals"):
        await administrator.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    yield Tampering(administrator, postgres.url(TAMPERED, "ledger_app"), untouched)
    await administrator.close()
    await asyncio.to_thread(postgres.drop_database, TAMPERED)


# A transfer in the middle of a book that has some, of the kind wanted.
VICTIM = """(SELECT book_id, seq FROM transfers WHERE {kind} AND book_id = (
    SELECT book_id FROM transfers GROUP BY book_id ORDER BY count(*) DESC LIMIT 1) ORDER BY seq OFFSET 3 LIMIT 1)"""
POSTED = VICTIM.format(kind="kind = 'posted'")
HOLD = VICTIM.format(kind="kind = 'hold' AND amount_minor = 400").replace("OFFSET 3", "OFFSET 0")

SUM, ROW, SEAL = "SUM_AFTER_TRANSFER_DIFFERS", "ACCOUNT_SUM_DIFFERS", "SEAL_DIFFERS"

# What is done, and the kinds of findings that name it: these and no others.
DEEDS = {
    "an amount is changed": (
        f"UPDATE transfers SET amount_minor = amount_minor + 1 WHERE (book_id, seq) = {POSTED}",
        {SUM, ROW, SEAL},
    ),
    "a sum after a transfer is changed": (
        f"UPDATE transfers SET credit_posted_minor = credit_posted_minor + 1 WHERE (book_id, seq) = {POSTED}",
        {SUM, SEAL},
    ),
    "a held sum after a transfer is changed": (
        f"UPDATE transfers SET debit_held_minor = debit_held_minor + 1 WHERE (book_id, seq) = {HOLD}",
        {SUM, SEAL},
    ),
    "a reason is changed": (
        f"UPDATE transfers SET reason = 'other' WHERE (book_id, seq) = {POSTED}",
        {SEAL},
    ),
    "a time is moved to the beginning": (
        f"UPDATE transfers SET created_at = created_at - interval '1 year' WHERE (book_id, seq) = {POSTED}",
        {"TIME_RUNS_BACKWARDS", SEAL},
    ),
    "a transfer goes to another account": (
        (
            f"UPDATE transfers SET credit_account_id = (SELECT max(account_id) + 1 FROM accounts)"
            f" WHERE (book_id, seq) = {POSTED}"
        ),
        {"ACCOUNT_MISSING", SUM, ROW, SEAL},
    ),
    "a transfer is deleted": (
        f"DELETE FROM transfers WHERE (book_id, seq) = {POSTED}",
        {"SEQUENCE_GAP", SUM, ROW, SEAL, "COMMAND_TRANSFERS_MISSING"},
    ),
    "the last transfer is deleted": (
        "DELETE FROM transfers AS t USING books AS b WHERE b.book_id = t.book_id AND t.seq = b.next_seq - 1",
        {"NEXT_SEQUENCE_DIFFERS", ROW, SEAL, "COMMAND_TRANSFERS_MISSING"},
    ),
    "a transfer is inserted": (
        (
            "INSERT INTO transfers (book_id, seq, transaction_id, kind, debit_account_id, credit_account_id,"
            " amount_minor, debit_posted_minor, debit_held_minor, credit_posted_minor, credit_held_minor, reason,"
            " created_at)"
            " SELECT book_id, seq + 1, gen_random_uuid(), 'posted', debit_account_id, credit_account_id, 1,"
            " debit_posted_minor - 1, debit_held_minor, credit_posted_minor + 1, credit_held_minor, reason, created_at"
            " FROM transfers ORDER BY seq DESC LIMIT 1"
        ),
        {"NEXT_SEQUENCE_DIFFERS", ROW, "COMMAND_MISSING"},
    ),
    "two transfers are swapped": (
        (
            "UPDATE transfers AS t SET transaction_id = o.transaction_id, amount_minor = o.amount_minor,"
            " debit_posted_minor = o.debit_posted_minor, credit_posted_minor = o.credit_posted_minor"
            f" FROM transfers AS o, {POSTED} AS v WHERE t.book_id = v.book_id AND o.book_id = v.book_id"
            " AND (t.seq = v.seq AND o.seq = v.seq + 1 OR t.seq = v.seq + 1 AND o.seq = v.seq)"
        ),
        {SUM, SEAL, "COMMAND_TRANSFERS_MISSING"},
    ),
    "an account's balance is changed": (
        "UPDATE accounts SET posted_minor = posted_minor + 5 WHERE code = 'revenue' AND book_id = 0",
        {ROW, "CURRENCY_SUM_NOT_ZERO"},
    ),
    "two balances are changed alike": (
        (
            "UPDATE accounts SET posted_minor = posted_minor + CASE code WHEN 'revenue' THEN 5 ELSE -5 END"
            " WHERE code IN ('revenue', 'clearing:card')"
        ),
        {ROW},
    ),
    "what an account has held is changed": (
        "UPDATE accounts SET held_minor = 0 WHERE held_minor > 0",
        {ROW},
    ),
    "an account is deleted": (
        "DELETE FROM accounts WHERE code = 'revenue'",
        {"ACCOUNT_MISSING", "CURRENCY_SUM_NOT_ZERO"},
    ),
    "an account gets another currency": (
        "UPDATE accounts SET currency = 'USD' WHERE code = 'revenue'",
        {"CURRENCIES_MIXED", "CURRENCY_SUM_NOT_ZERO"},
    ),
    "an account gets a floor that it was below": (
        "UPDATE accounts SET floor_minor = 0, posted_minor = 0 WHERE code = 'clearing:card'",
        {"BELOW_FLOOR", ROW, "CURRENCY_SUM_NOT_ZERO"},
    ),
    "a hold is said to be captured": (
        "UPDATE holds SET state = 'captured', captured_minor = held_minor, ended_at = created_at WHERE state = 'held'",
        {"HOLD_DIFFERS", "HOLD_PART_DIFFERS"},
    ),
    "a part of a hold is changed": (
        "UPDATE hold_parts SET held_minor = held_minor + 1",
        {"HOLD_DIFFERS", "HOLD_PART_DIFFERS"},
    ),
    "a part of a hold is deleted": (
        "DELETE FROM hold_parts WHERE captured_minor > 0",
        {"HOLD_DIFFERS", "HOLD_PART_MISSING", "REFUND_DIFFERS"},
    ),
    "a hold is deleted with its parts": (
        "DELETE FROM hold_parts; DELETE FROM holds",
        {"HOLD_PART_MISSING", "COMMAND_DIFFERS", "REFUND_DIFFERS"},
    ),
    "a grant is deleted": (
        "DELETE FROM grants WHERE grant_id NOT IN (SELECT grant_id FROM hold_parts)",
        {"COMMAND_DIFFERS"},
    ),
    "a grant is said to have given more": (
        "UPDATE grants SET amount_minor = amount_minor + 1",
        {"GRANT_DIFFERS"},
    ),
    "a grant is said to be in effect again": (
        "UPDATE commands SET state = 'live' WHERE kind = 'grant' AND state = 'undone'",
        {"GRANT_DIFFERS"},
    ),
    "a refund is changed": (
        "UPDATE refunds SET amount_minor = amount_minor + 1",
        {"REFUND_DIFFERS"},
    ),
    "a refund is deleted with its parts": (
        "DELETE FROM refund_parts; DELETE FROM refunds",
        {"REFUND_DIFFERS", "COMMAND_DIFFERS"},
    ),
    "a transaction's hold is ended once more": (
        "UPDATE transfers SET target_seq = target_seq + 1 WHERE kind = 'release' AND target_seq IS NOT NULL",
        {"HOLD_ENDED_WRONGLY", SEAL},
    ),
    "a reversal takes back another transfer": (
        "UPDATE transfers SET target_seq = 1 WHERE kind = 'reversal' AND target_seq IS NOT NULL",
        {"REVERSED_TOO_MUCH", SEAL},
    ),
    "a command is deleted": (
        "DELETE FROM commands WHERE kind = 'transaction'",
        {"COMMAND_MISSING"},
    ),
    "the command of a hold is deleted": (
        "DELETE FROM commands WHERE kind = 'hold'",
        {"COMMAND_MISSING"},
    ),
    "a command is invented": (
        "UPDATE commands SET transfer_count = transfer_count + 1 WHERE kind = 'transaction'",
        {"COMMAND_TRANSFERS_MISSING"},
    ),
    "a seal is changed": (
        "UPDATE seals SET sha256 = sha256(sha256) WHERE from_seq = 8",
        {SEAL, "SEAL_CHAIN_BROKEN"},
    ),
    "a seal is deleted": (
        "DELETE FROM seals WHERE from_seq = 8",
        {"SEAL_CHAIN_BROKEN"},
    ),
    "all transfers are deleted": (
        "TRUNCATE transfers",
        {"NEXT_SEQUENCE_DIFFERS", ROW, SEAL, "COMMAND_TRANSFERS_MISSING", "HOLD_PART_DIFFERS", "GRANT_DIFFERS"},
    ),
    "all accounts are deleted": (
        "TRUNCATE accounts CASCADE",
        {"ACCOUNT_MISSING", "COMMAND_DIFFERS"},
    ),
}


@pytest.mark.parametrize(("statement", "kinds"), DEEDS.values(), ids=DEEDS.keys())
async def test_verification_of_a_tampered_ledger_names_what_was_done(
    tampering: Tampering, statement: str, kinds: set[str]
) -> None:
    await tampering.does(statement)
    assert (await tampering.is_found()).kinds == kinds


async def test_finding_of_a_changed_balance_names_account_and_difference(tampering: Tampering) -> None:
    """L2."""
    await tampering.does("UPDATE accounts SET posted_minor = posted_minor + 5 WHERE code = 'revenue' AND book_id = 0")
    report = await tampering.is_found()
    (finding,) = [finding for finding in report.findings if finding.subject == "account revenue OMR, posted"]
    assert finding.found == f"{int(finding.expected) + 5}, which is +5"
    assert (finding.book_id, report.books[0].findings, report.books[1].findings) == (0, 2, 0)


async def test_finding_of_a_changed_sum_names_the_first_transfer_only(tampering: Tampering) -> None:
    """One wrong amount is not found again at each later transfer of its accounts."""
    seq = await tampering.administrator.fetchval(f"SELECT seq FROM {POSTED} AS v")
    await tampering.does(f"UPDATE transfers SET amount_minor = amount_minor + 1 WHERE (book_id, seq) = {POSTED}")
    subjects = (await tampering.is_found()).subjects(SUM)
    assert subjects == [
        f"transfer {seq}, debit posted, account clearing:card OMR",
        f"transfer {seq}, credit posted, account revenue OMR",
    ]


async def test_ledger_rewritten_and_sealed_again_is_found_by_seals_kept_outside(tampering: Tampering) -> None:
    """L-7: without them nobody could tell."""
    await tampering.does(f"UPDATE transfers SET reason = 'other' WHERE (book_id, seq) = {POSTED}; TRUNCATE seals")
    await seal_all(tampering.app_url)
    assert (await tampering.is_found()).findings == []
    assert (await tampering.is_found(with_known_seals=True)).kinds == {"KNOWN_SEAL_DIFFERS"}


async def test_newest_seal_deleted_is_found_by_seals_kept_outside(tampering: Tampering) -> None:
    newest = [(seal.book_id, seal.to_sequence) for seal in tampering.seals.values()]
    for book_id, to_sequence in newest:
        await tampering.does(f"DELETE FROM seals WHERE (book_id, to_seq) = ({book_id}, {to_sequence})")
    assert (await tampering.is_found()).findings == []
    report = await tampering.is_found(with_known_seals=True)
    assert report.subjects("KNOWN_SEAL_DIFFERS") == [f"seal up to {to_sequence}" for _, to_sequence in sorted(newest)]


async def test_more_findings_of_a_kind_than_are_kept_are_counted(tampering: Tampering) -> None:
    """A table rewritten as a whole is not a million messages."""
    await tampering.does(
        "INSERT INTO commands (book_id, command_id, kind, owner_id, currency, fingerprint, state, transfer_count,"
        " created_at) SELECT 0, gen_random_uuid(), 'hold', gen_random_uuid(), 'OMR', 'x', 'live', 0, now()"
        " FROM generate_series(1, 1500)"
    )
    report = await tampering.is_found()
    assert (len(report.findings), report.books[0].findings, report.books[0].findings_left_out) == (1000, 1500, 500)

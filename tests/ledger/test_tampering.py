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
from tests.ledger.deeds import DEEDS, POSTED, SUM
from tests.ledger.proving import Report, served, tell_of_ends, tell_story, verify

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
        await asyncio.gather(*(tell_of_ends(server.ledger) for _ in range(3)))
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
    await tampering.does(
        "UPDATE transfers SET reason = 'other' WHERE reason = 'test.transaction';"
        " UPDATE commands SET reason = 'other' WHERE reason = 'test.transaction'; TRUNCATE seals"
    )
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

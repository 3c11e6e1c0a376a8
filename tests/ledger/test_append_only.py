"""L1: the database itself refuses to change a posted movement."""

import asyncpg
import pytest

from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from tests.ledger.requests import Customer

CHANGES = (
    "UPDATE transfers SET amount_minor = amount_minor + 1",
    "DELETE FROM transfers",
    "TRUNCATE transfers",
    "TRUNCATE accounts, books, book_setup, transfers CASCADE",
)


@pytest.fixture(autouse=True)
async def a_transfer(ledger: LedgerServiceStub) -> None:
    await ledger.GrantCredits(Customer().grant())


@pytest.mark.parametrize("statement", CHANGES)
async def test_change_of_transfers_by_the_app_role_is_not_permitted(
    app_connection: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_connection.execute(statement)


@pytest.mark.parametrize("statement", CHANGES)
async def test_change_of_transfers_by_the_owner_is_refused(
    owner_connection: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner_connection.execute(statement)


@pytest.mark.parametrize("statement", CHANGES)
async def test_change_of_transfers_in_replica_mode_is_refused(
    superuser_connection: asyncpg.Connection, statement: str
) -> None:
    """Ordinary triggers do not fire in a session that calls itself a replica."""
    await superuser_connection.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.RestrictViolationError):
        await superuser_connection.execute(statement)


async def test_app_role_has_no_privilege_that_the_code_does_not_need(owner_connection: asyncpg.Connection) -> None:
    rows = await owner_connection.fetch(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'ledger_app'"
    )
    assert {row["privilege_type"] for row in rows} == {"SELECT", "INSERT"}
    columns = await owner_connection.fetch(
        "SELECT table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = 'ledger_app' AND privilege_type = 'UPDATE'"
    )
    assert {(row["table_name"], row["column_name"]) for row in columns} == {
        *(("books", column) for column in ("next_seq", "next_account_id", "last_at", "stamp")),
        *(("accounts", column) for column in ("posted_minor", "held_minor", "closed_at")),
        *(("holds", column) for column in ("state", "captured_minor", "reverse_born_held", "ended_at")),
        *(("hold_parts", column) for column in ("captured_minor", "refunded_minor")),
        *(
            ("grants", column)
            for column in ("state", "expired_minor", "revoked_minor", "revoked_held_minor", "empty_since")
        ),
        ("commands", "state"),
        ("transfer_expiries", "ended_at"),
        ("findings", "last_seen_at"),
    }


async def test_every_key_begins_with_the_book(owner_connection: asyncpg.Connection) -> None:
    """Design, section 5: the same tables can be spread over nodes by their book."""
    rows = await owner_connection.fetch(
        "SELECT i.indrelid::regclass::text AS table, a.attname AS first_column FROM pg_index AS i"
        " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " JOIN pg_class AS c ON c.oid = i.indrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique"
    )
    keys = {(row["table"], row["first_column"]) for row in rows} - {("quittance_migrations", "version")}
    assert {first for table, first in keys if table != "book_setup"} == {"book_id"}

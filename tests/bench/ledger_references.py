"""What the ledger is compared with, on the same PostgreSQL: pgbench, and one statement for a thousand transfers.

Both are as durable and keep less: balances and movements, without ids of callers, reasons, holds, replays and sums
after each movement.
"""

import asyncio
import random
import re
import time
from pathlib import Path

import asyncpg

from deploy.local.postgres import EmbeddedPostgres

DATABASE = "ledger_references"
ACCOUNTS = 1000
BATCH = 1000

_TABLES = """
DROP TABLE IF EXISTS movement, purse;
CREATE TABLE purse (id bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO purse SELECT number, 0 FROM generate_series(1, {accounts}) AS number;
CREATE TABLE movement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, debit bigint NOT NULL, credit bigint NOT NULL,
    amount bigint NOT NULL, made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON movement (debit, id);
CREATE INDEX ON movement (credit, id);
-- The lower account first, so that two movements never wait for each other in a circle.
CREATE OR REPLACE FUNCTION move (debit bigint, credit bigint, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE purse SET balance = balance + CASE WHEN debit < credit THEN -amount ELSE amount END
    WHERE id = least(debit, credit);
    UPDATE purse SET balance = balance + CASE WHEN debit < credit THEN amount ELSE -amount END
    WHERE id = greatest(debit, credit);
    INSERT INTO movement (debit, credit, amount) VALUES (debit, credit, amount);
END
$$;
"""
_SCRIPTS = {
    False: "\\set debit random(1, 500)\n\\set credit random(501, 1000)\nSELECT move(:debit, :credit, 1);\n",
    True: "\\set debit random(1, 999)\nSELECT move(:debit, 1000, 1);\n",
}
_SET_BASED = """
WITH moved AS (
    INSERT INTO movement (debit, credit, amount) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
    RETURNING debit, credit, amount
), sums AS (
    SELECT id, sum(change) AS change FROM (
        SELECT debit AS id, -amount AS change FROM moved UNION ALL SELECT credit, amount FROM moved
    ) AS changes GROUP BY id
)
UPDATE purse SET balance = balance + sums.change FROM sums WHERE purse.id = sums.id
"""


class References:
    """The two, in a database beside the ledger's."""

    def __init__(self, postgres: EmbeddedPostgres, directory: Path) -> None:
        self._postgres = postgres
        self._directory = directory

    async def prepare(self) -> None:
        """Makes the tables."""
        await asyncio.to_thread(self._postgres.create_database, DATABASE, "ledger")
        await asyncio.to_thread(self._postgres.run_sql, DATABASE, _TABLES.format(accounts=ACCOUNTS))

    async def pgbench(self, *, clients: int, is_hot: bool, seconds: int) -> float:
        """Movements a second, one per commit, over random accounts or all to one."""
        script = self._directory / f"{'hot' if is_hot else 'random'}.sql"
        script.write_text(_SCRIPTS[is_hot])
        measured = await asyncio.create_subprocess_exec(
            *(self._postgres.program("pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}"),
            *(f"--client={clients}", f"--time={seconds}", self._postgres.superuser_url(DATABASE)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await measured.communicate()
        found = re.search(r"^tps = ([\d.]+)", said.decode(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"pgbench failed: {complained.decode()}")
        return float(found[1])

    async def set_based(self, seconds: float) -> float:
        """Movements a second over one connection, a thousand in each statement."""
        dice = random.Random(1)
        connection = await asyncpg.connect(self._postgres.superuser_url(DATABASE))
        statement = await connection.prepare(_SET_BASED)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            debits = [dice.randint(1, 500) for _ in range(BATCH)]
            receivers = [dice.randint(501, 1000) for _ in range(BATCH)]
            await statement.fetch(debits, receivers, [1] * BATCH)
            count += BATCH
        spent_s = time.perf_counter() - started
        await connection.close()
        return count / spent_s

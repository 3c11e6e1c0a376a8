"""What redemptions are compared with, on the same PostgreSQL: pgbench, one counted use and one row a commit.

As durable, and it keeps less: no rules, no limit per customer, no discount over lines, no replays, no time of the
campaign's own.
"""

import asyncio
import re
from pathlib import Path

from deploy.local.postgres import EmbeddedPostgres

DATABASE = "vouchers_references"

_TABLES = """
DROP TABLE IF EXISTS code, redemption;
CREATE TABLE code (id bigint PRIMARY KEY, uses bigint NOT NULL, uses_max bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO code SELECT number, 0, 1000000000 FROM generate_series(1, 1000) AS number;
CREATE TABLE redemption (
    id uuid PRIMARY KEY DEFAULT uuidv7(), customer_id uuid NOT NULL DEFAULT gen_random_uuid(), code_id bigint NOT NULL,
    discount bigint NOT NULL, made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON redemption (code_id, customer_id);
CREATE OR REPLACE FUNCTION redeem (wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE code SET uses = uses + 1 WHERE id = wanted AND uses < uses_max;
    IF FOUND THEN INSERT INTO redemption (code_id, discount) VALUES (wanted, 12345); END IF;
END
$$;
"""
_SCRIPTS = {
    False: "\\set code random(1, 1000)\nSELECT redeem(:code);\n",
    True: "SELECT redeem(1);\n",
}


class References:
    """The tables in a database beside the vouchers'."""

    def __init__(self, postgres: EmbeddedPostgres, directory: Path) -> None:
        self._postgres = postgres
        self._directory = directory

    async def prepare(self) -> None:
        """Makes the tables."""
        await asyncio.to_thread(self._postgres.create_database, DATABASE, "vouchers")
        await asyncio.to_thread(self._postgres.run_sql, DATABASE, _TABLES)

    async def pgbench(self, *, clients: int, is_hot: bool, seconds: int) -> float:
        """Redemptions a second, one per commit, of one code or of a thousand."""
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

"""The `quittance vouchers` commands about campaigns and their proof, as an operator runs them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from tests.vouchers.proving import Served, served, tell_story
from tests.vouchers.requests import some_id

DATABASE = "vouchers_cli_campaigns"


@dataclass
class Operator:
    """Somebody with a terminal, and vouchers of his own."""

    server: Served
    administrator: asyncpg.Connection
    campaign_ids: dict[str, str]

    async def runs(self, *arguments: str, address: str = "") -> tuple[int, str, str]:
        """Exit code, output, and what was said beside it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "vouchers", *arguments),
            env={**os.environ, "VOUCHERS_ADDRESS": address or self.server.address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture(scope="module")
async def operator(postgres: EmbeddedPostgres) -> AsyncIterator[Operator]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    administrator = await asyncpg.connect(postgres.superuser_url(DATABASE))
    async with served(postgres.url(DATABASE, "vouchers_app")) as server:
        yield Operator(server, administrator, await tell_story(server.shop))
    await administrator.close()
    await asyncio.to_thread(postgres.drop_database, DATABASE)


async def test_campaigns_are_listed_with_their_state_and_numbers(operator: Operator) -> None:
    code, out, _ = await operator.runs("campaigns")
    assert code == 0
    assert all(campaign_id in out for campaign_id in operator.campaign_ids.values())
    code, out, _ = await operator.runs("campaigns", "--state", "paused")
    assert (code, operator.campaign_ids["Percent"] in out, operator.campaign_ids["Off"] in out) == (0, True, False)


async def test_report_shows_what_has_become_of_redemptions(operator: Operator) -> None:
    code, out, _ = await operator.runs("report", operator.campaign_ids["Off"], "--codes")
    rows = {
        " ".join(line.split("│")[1].split()): line.split("│")[2].strip() for line in out.splitlines() if "│" in line
    }
    shown = {name: rows[name] for name in ("reserved", "confirmed", "restored", "rolled back", "budget", "left")}
    expected = {"reserved": "2", "confirmed": "2", "restored": "1", "rolled back": "1"}
    assert (code, shown) == (0, {**expected, "budget": "50,000", "left": "45,500"})
    assert "WA…" in out


async def test_verify_and_findings_say_what_is_wrong_until_it_is_right(operator: Operator) -> None:
    code, out, err = await operator.runs("verify")
    assert (code, "0 findings" in out, "verifying" in err) == (0, True, True)
    assert (await operator.runs("findings"))[0] == 0
    change = "UPDATE campaigns SET expired = expired + $1 WHERE name = 'Off'"
    await operator.administrator.execute(change, 5)
    for command in (("verify", "--campaign", operator.campaign_ids["Off"]), ("findings",)):
        code, out, _ = await operator.runs(*command)
        assert code == 1
        where = f"CAMPAIGN_COUNTER_DIFFERS campaign {operator.campaign_ids['Off']}: campaign, expired"
        assert f"{where}: expected 0, found 5" in out
    await operator.administrator.execute(change, -5)
    assert (await operator.runs("verify"))[0] == 0
    assert (await operator.runs("findings"))[0] == 0
    assert (await operator.runs("findings", "--all"))[0] == 1


async def test_wrong_usage_is_answered_by_its_own_exit_code(operator: Operator) -> None:
    wrong = (("report", "x"), ("report", some_id()), ("verify", "--campaign", some_id()), ("campaigns", "--state", "x"))
    answers = await asyncio.gather(*(operator.runs(*arguments) for arguments in wrong))
    assert [(code, bool(err)) for code, _, err in answers] == [(2, True)] * len(wrong)
    code, _, err = await operator.runs("verify", address=f"127.0.0.1:{free_port()}")
    assert (code, "UNAVAILABLE" in err) == (2, True)

"""SIGKILL of replicas and of PostgreSQL while codes are made: in the end exactly as many as were asked for."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import grpc
import pytest

from deploy.local.postgres import EmbeddedPostgres
from tests.replicas import Replica, channels_to, restart_database, two_replicas
from tests.vouchers.codes_requests import COMPLETED, Codes, batch
from tests.vouchers.requests import Shop, Stub

SIZES = (300_000, 150_001, 7)
KILLS = 6


async def insisting(ask: object, *arguments: object) -> object:
    """Asks until somebody answers."""
    while True:
        try:
            return await ask(*arguments)  # type: ignore[operator]
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)


async def kill_in_turn(postgres: EmbeddedPostgres, replicas: Sequence[Replica], dice: random.Random) -> None:
    for number in range(KILLS):
        await asyncio.sleep(dice.uniform(0.2, 1.0))
        if number == KILLS // 2:
            await restart_database(postgres)
        else:
            await asyncio.to_thread(replicas[number % 2].restart)


@pytest.mark.slow
async def test_kills_while_codes_are_made_leave_exactly_as_many_as_asked_for(
    tmp_path: Path, dice: random.Random
) -> None:
    """V8, O3."""
    async with two_replicas(tmp_path, "vouchers") as (postgres, replicas), channels_to(replicas) as channels:
        first, second = (Stub(channel) for channel in channels)
        campaign_id = str(await insisting(Shop(first).campaign))
        asked = [batch(campaign_id, size) for size in SIZES]
        for each in asked:
            await insisting(Codes(first).create, each)
        await kill_in_turn(postgres, replicas, dice)
        for each in asked:
            async with asyncio.timeout(90):
                while (found := await insisting(Codes(second).get, each.batch_id)).state != COMPLETED:  # type: ignore[attr-defined]
                    await asyncio.sleep(0.1)
            assert found.made == each.code_count  # type: ignore[attr-defined]
        connection = await asyncpg.connect(postgres.url("vouchers", "vouchers_owner"))
        rows = await connection.fetch("SELECT count(*) AS made FROM vouchers GROUP BY batch_id ORDER BY made DESC")
        issued = await connection.fetchval("SELECT codes FROM campaigns")
        await connection.close()
    assert [row["made"] for row in rows] == list(SIZES)
    assert issued == sum(SIZES)

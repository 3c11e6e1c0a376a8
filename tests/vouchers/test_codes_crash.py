"""SIGKILL of replicas and of PostgreSQL while codes are made: in the end exactly as many as were asked for."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import grpc
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from tests.vouchers.codes_requests import COMPLETED, Codes, batch
from tests.vouchers.requests import Shop, Stub
from tests.vouchers.test_crash import RECONNECT, Replica

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


async def kill_at_random(postgres: EmbeddedPostgres, replicas: Sequence[Replica], dice: random.Random) -> None:
    for number in range(KILLS):
        await asyncio.sleep(dice.uniform(0.2, 1.0))
        if number == KILLS // 2:
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start_server)
        else:
            victim = replicas[number % 2]
            await asyncio.to_thread(victim.kill)
            victim.start()


@pytest.mark.slow
async def test_kills_while_codes_are_made_leave_exactly_as_many_as_asked_for(
    tmp_path: Path, dice: random.Random
) -> None:
    """V8, O3."""
    postgres = EmbeddedPostgres(tmp_path)
    await asyncio.to_thread(postgres.start)
    replicas: list[Replica] = []
    try:
        owner_url = postgres.url("vouchers", "vouchers_owner")
        await migrate_up(owner_url, migrations_of("vouchers"), "vouchers_app")
        replicas += [Replica(postgres.url("vouchers")) for _ in range(2)]
        for replica in replicas:
            replica.start()
        async with (
            grpc.aio.insecure_channel(replicas[0].address, options=RECONNECT) as first,
            grpc.aio.insecure_channel(replicas[1].address, options=RECONNECT) as second,
        ):
            codes = [Codes(Stub(channel)) for channel in (first, second)]
            campaign_id = str(await insisting(Shop(Stub(first)).campaign))
            asked = [batch(campaign_id, size) for size in SIZES]
            for each in asked:
                await insisting(codes[0].create, each)
            await kill_at_random(postgres, replicas, dice)
            for each in asked:
                async with asyncio.timeout(90):
                    while (found := await insisting(codes[1].get, each.batch_id)).state != COMPLETED:  # type: ignore[attr-defined]
                        await asyncio.sleep(0.1)
                assert found.made == each.code_count  # type: ignore[attr-defined]
        connection = await asyncpg.connect(owner_url)
        rows = await connection.fetch("SELECT count(*) AS made FROM vouchers GROUP BY batch_id ORDER BY made DESC")
        issued = await connection.fetchval("SELECT codes FROM campaigns")
        await connection.close()
        assert [row["made"] for row in rows] == list(SIZES)
        assert issued == sum(SIZES)
    finally:
        for replica in replicas:
            await asyncio.to_thread(replica.kill)
        await asyncio.to_thread(postgres.remove)

"""The `quittance vouchers` commands about codes as an operator runs them: processes against a running server."""

import asyncio
import csv
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from services.runtime.migrations import migrate_up, migrations_of
from services.vouchers.main import VouchersSettings, serving
from tests.vouchers.codes_requests import Codes
from tests.vouchers.requests import Order, Shop, Stub, refused, some_id

DATABASE = "vouchers_cli"


@dataclass
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass
class Operator:
    """Somebody with a terminal."""

    address: str
    shop: Shop
    codes: Codes

    async def runs(self, *arguments: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "vouchers", *arguments),
            env={**os.environ, "VOUCHERS_ADDRESS": self.address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def operator(postgres: EmbeddedPostgres) -> AsyncIterator[Operator]:
    await asyncio.to_thread(postgres.create_database, DATABASE, "vouchers")
    await migrate_up(postgres.url(DATABASE, "vouchers_owner"), migrations_of("vouchers"), "vouchers_app")
    settings = VouchersSettings(
        database_url=postgres.url(DATABASE, "vouchers_app"), address="127.0.0.1:0", log_level="WARNING"
    )
    async with serving(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = Stub(channel)
        yield Operator(server.address, Shop(stub), Codes(stub))
    await asyncio.to_thread(postgres.drop_database, DATABASE)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def test_codes_are_created_exported_and_cancelled(operator: Operator, tmp_path: Path) -> None:
    """V8: generated with progress, exported as a file that only its owner reads."""
    campaign_id, batch_id, file = await operator.shop.campaign(), some_id(), tmp_path / "codes.csv"
    create = ("create-codes", "--campaign", campaign_id, "--count", "5000", "--batch", batch_id, "--prefix", "WALK")
    ran = await operator.runs(*create)
    assert (ran.code, "5,000 of 5,000 codes made, completed" in ran.out, "making codes" in ran.err) == (0, True, True)
    assert (await operator.runs(*create)).code == 0
    ran = await operator.runs("batches", "--campaign", campaign_id)
    assert re.search(rf"{batch_id}.*completed.*5,000", ran.out)
    assert (await operator.runs("export-codes", batch_id, str(file))).code == 0
    rows = rows_of(file)
    assert len({row["code"] for row in rows}) == 5_000
    assert (rows[0]["uses"], rows[0]["active"], file.stat().st_mode & 0o077) == ("0", "True", 0)
    assert (await operator.runs("export-codes", batch_id, str(file))).code == 2
    await operator.shop.redeem(Order([rows[-1]["code"]]))
    ran = await operator.runs("cancel-batch", batch_id)
    assert "5,000 codes that were made are off" in ran.out
    assert (await operator.runs(*create)).code == 2


async def test_interrupted_export_goes_on_where_it_stopped(operator: Operator, tmp_path: Path) -> None:
    batch_id, made = await operator.codes.made(await operator.shop.campaign(), 6_000)
    whole, taken_up = tmp_path / "whole.csv", tmp_path / "taken_up.csv"
    await operator.runs("export-codes", batch_id, str(whole))
    lines = whole.read_bytes().splitlines(keepends=True)
    for kept in (b"", lines[0], b"".join(lines[:2500]), b"".join(lines[:2500]) + b"WALK-to"):
        taken_up.with_name("taken_up.csv.part").write_bytes(kept)
        assert (await operator.runs("export-codes", batch_id, str(taken_up))).code == 0
        assert taken_up.read_bytes() == whole.read_bytes()
        taken_up.unlink()
    assert [row["code"] for row in rows_of(whole)] == made


async def test_import_names_refused_lines_and_can_be_run_again(operator: Operator, tmp_path: Path) -> None:
    campaign_id, batch_id, file = await operator.shop.campaign(), some_id(), tmp_path / "cards.csv"
    taken = await operator.shop.code()
    file.write_text(f"serial,card\n1,CARD-0001\n2,{taken}\n3,no/code\n4,CARD-0002\n", encoding="utf-8")
    arguments = ("import-codes", "--campaign", campaign_id, "--batch", batch_id, "--csv", str(file))
    assert (await operator.runs(*arguments)).code == 2
    ran = await operator.runs(*arguments, "--column", "card", "--dry-run")
    assert (ran.code, "2 codes can be brought in, nothing was changed; 0 were there; 2 refused" in ran.out) == (1, True)
    ran = await operator.runs(*arguments, "--column", "card")
    assert "2 codes brought in; 0 were there; 2 refused" in ran.out
    assert re.search("^line 3: .*\nline 4: ", ran.out, re.MULTILINE)
    assert taken not in ran.out
    ran = await operator.runs(*arguments, "--column", "card")
    assert "0 codes brought in; 2 were there; 2 refused" in ran.out
    await operator.shop.redeem(Order(["card 0001"]))


async def test_codes_are_switched_off_and_on(operator: Operator) -> None:
    code = await operator.shop.code()
    assert (await operator.runs("deactivate-codes", "--code", code, "--note", "lost")).code == 0
    async with refused("VOUCHER_DEACTIVATED"):
        await operator.shop.redeem(Order([code]))
    assert (await operator.shop.get(code)).events[0].note == "lost"
    assert (await operator.runs("activate-codes", "--code", code)).code == 0
    await operator.shop.redeem(Order([code]))
    assert (await operator.runs("deactivate-codes", "--batch", some_id())).code == 2


async def test_no_server_is_wrong_usage(operator: Operator) -> None:
    operator.address = f"127.0.0.1:{free_port()}"
    assert (await operator.runs("batches")).code == 2

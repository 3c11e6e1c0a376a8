"""`quittance vouchers …`: codes made by the batch, written to files, brought along, switched off and on."""

import argparse
import asyncio
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from rich.table import Table

from deploy.cli.console import out, progress_bar, vouchers_channel
from deploy.cli.paging import pages_of
from deploy.cli.problems import UsageProblem
from quittance.vouchers.v1 import codes_pb2
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from quittance.vouchers.v1.vouchers_pb2 import VoucherReference
from services.runtime.ids import new_id
from services.runtime.times import timestamp_of

if TYPE_CHECKING:
    from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceAsyncStub

LOOK_S = 0.3
IMPORTED_PER_CALL = 5_000
_COLUMNS = ("code", "voucher_id", "uses", "active")
_FINISHED = (
    codes_pb2.CODE_BATCH_STATE_COMPLETED,
    codes_pb2.CODE_BATCH_STATE_CANCELLED,
    codes_pb2.CODE_BATCH_STATE_FAILED,
)


async def create_codes(options: argparse.Namespace) -> int:
    """Asks for a batch and shows how far it is; 1 when it was cancelled or failed."""
    batch = codes_pb2.CodeBatch(
        batch_id=str(options.batch or new_id()),
        campaign_id=str(options.campaign),
        code_count=options.count,
        uses_max=options.uses,
        format=codes_pb2.CodeFormat(
            prefix=options.prefix, group_length=options.group_length, separator=options.separator
        ),
        expire_time=timestamp_of(options.expires),
    )
    async with vouchers_channel() as channel:
        codes = CodesServiceStub(channel)
        batch = (await codes.CreateCodeBatch(codes_pb2.CreateCodeBatchRequest(batch=batch))).batch
        # First, so that an interrupted run can be taken up again.
        out.print(f"batch {batch.batch_id}", markup=False)
        if not options.no_wait:
            batch = await _watched(codes, batch)
    out.print(f"{batch.made:,} of {batch.code_count:,} codes made, {_state(batch)} {batch.failure}".rstrip())
    return 0 if options.no_wait or batch.state == codes_pb2.CODE_BATCH_STATE_COMPLETED else 1


async def list_batches(options: argparse.Namespace) -> int:
    """A table of batches, newest first."""
    table = Table("batch", "campaign", "kind", "state", "codes", "made", "uses each", "created", "off since")
    request = codes_pb2.ListCodeBatchesRequest(campaign_id=str(options.campaign or ""), page_size=500)
    async with vouchers_channel() as channel:
        async for page in pages_of(CodesServiceStub(channel).ListCodeBatches, request):
            for batch in page.batches:
                kind = codes_pb2.CodeBatchKind.Name(batch.kind).removeprefix("CODE_BATCH_KIND_").lower()
                counts = (f"{batch.code_count:,}", f"{batch.made:,}", f"{batch.uses_max:,}" if batch.uses_max else "")
                off = batch.deactivate_time.ToJsonString() if batch.HasField("deactivate_time") else ""
                created = batch.create_time.ToJsonString()
                table.add_row(batch.batch_id, batch.campaign_id, kind, _state(batch), *counts, created, off)
    out.print(table)
    return 0


async def cancel_batch(options: argparse.Namespace) -> int:
    """Stops a batch and switches off what was made of it."""
    async with vouchers_channel() as channel:
        request = codes_pb2.CancelCodeBatchRequest(batch_id=str(options.batch))
        response = await CodesServiceStub(channel).CancelCodeBatch(request)
    if response.HasField("batch"):
        out.print(f"cancelled; {response.batch.made:,} codes that were made are off for ever")
    else:
        out.print("there is no such batch; should it be asked for later, it is refused")
    return 0


async def export_codes(options: argparse.Namespace) -> int:
    """Writes a batch's codes to a file, which appears when it is complete; what was interrupted goes on."""
    part = _part_of(options.file)
    cursor, written = _taken_up(part)
    async with vouchers_channel() as channel:
        codes = CodesServiceStub(channel)
        batch = (await codes.GetCodeBatch(codes_pb2.GetCodeBatchRequest(batch_id=str(options.batch)))).batch
        with progress_bar() as bar, part.open("a", encoding="utf-8", newline="") as file:
            task = bar.add_task("exporting", total=batch.made, completed=written)
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(_COLUMNS)
            request = codes_pb2.ExportCodesRequest(batch_id=str(options.batch), cursor=cursor)
            async for response in codes.ExportCodes(request):
                writer.writerows((each.code, each.voucher_id, each.uses, each.active) for each in response.codes)
                written += len(response.codes)
                bar.update(task, completed=written)
    part.rename(options.file)
    out.print(f"{written:,} codes written to {options.file}", markup=False)
    return 0


async def import_codes(options: argparse.Namespace) -> int:
    """Brings the codes of a file in; 1 when some were refused."""
    request = codes_pb2.ImportCodesRequest(
        batch_id=str(options.batch),
        campaign_id=str(options.campaign),
        uses_max=options.uses,
        expire_time=timestamp_of(options.expires),
        dry_run=options.dry_run,
    )
    new = existed = refused = 0
    async with vouchers_channel() as channel:
        codes = CodesServiceStub(channel)
        with progress_bar() as bar:
            task = bar.add_task("checking" if options.dry_run else "importing", total=_lines_in(options.csv))
            for rows in _pages(options.csv, options.column):
                request.codes[:] = [code for _, code in rows]
                response = await codes.ImportCodes(request)
                for (line, _), outcome in zip(rows, response.codes, strict=True):
                    if outcome.HasField("refusal"):
                        refused += 1
                        out.print(f"line {line}: {outcome.refusal.message}", markup=False)
                    existed += outcome.existed
                    new += not outcome.existed and not outcome.HasField("refusal")
                bar.advance(task, len(rows))
    done = "can be brought in, nothing was changed" if options.dry_run else "brought in"
    out.print(f"{new:,} codes {done}; {existed:,} were there; {refused:,} refused")
    return 1 if refused else 0


async def deactivate_codes(options: argparse.Namespace) -> int:
    """Switches codes off."""
    request = codes_pb2.DeactivateCodesRequest(
        change_id=str(options.change or new_id()), target=_target(options), note=options.note
    )
    async with vouchers_channel() as channel:
        change = (await CodesServiceStub(channel).DeactivateCodes(request)).change
    return _print_change(change)


async def activate_codes(options: argparse.Namespace) -> int:
    """Switches codes on again."""
    request = codes_pb2.ActivateCodesRequest(
        change_id=str(options.change or new_id()), target=_target(options), note=options.note
    )
    async with vouchers_channel() as channel:
        change = (await CodesServiceStub(channel).ActivateCodes(request)).change
    return _print_change(change)


async def _watched(codes: "CodesServiceAsyncStub", batch: codes_pb2.CodeBatch) -> codes_pb2.CodeBatch:
    """The batch once nothing more is made of it."""
    with progress_bar() as bar:
        task = bar.add_task("making codes", total=batch.code_count)
        while batch.state not in _FINISHED:
            await asyncio.sleep(LOOK_S)
            batch = (await codes.GetCodeBatch(codes_pb2.GetCodeBatchRequest(batch_id=batch.batch_id))).batch
            bar.update(task, completed=batch.made)
    return batch


def _state(batch: codes_pb2.CodeBatch) -> str:
    return codes_pb2.CodeBatchState.Name(batch.state).removeprefix("CODE_BATCH_STATE_").lower()


def _part_of(target: Path) -> Path:
    """What the file is called until it is complete. Raises UsageProblem when it is complete already."""
    if target.exists():
        raise UsageProblem(f"{target} exists")
    part = target.with_name(f"{target.name}.part")
    part.touch(mode=0o600, exist_ok=True)
    return part


def _taken_up(part: Path) -> tuple[str, int]:
    """The cursor behind the last whole row of an interrupted export, and how many rows there are; cuts a torn one."""
    length, lines, last = 0, 0, b""
    with part.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                length, lines, last = length + len(line), lines + 1, line
        file.truncate(length)
    if lines < 2:
        return "", 0
    (row,) = csv.reader([last.decode()])
    return row[_COLUMNS.index("voucher_id")], lines - 1


def _lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return max(sum(1 for _ in file) - 1, 0)


def _pages(path: Path, column: str) -> Iterator[list[tuple[int, str]]]:
    """Line and code, some at a time. Raises UsageProblem."""
    page: list[tuple[int, str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if column not in (reader.fieldnames or ()):
            raise UsageProblem(f"{path} has no column {column}")
        try:
            for row in reader:
                page.append((reader.line_num, row[column] or ""))
                if len(page) == IMPORTED_PER_CALL:
                    yield page
                    page = []
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageProblem(f"{path}, after line {reader.line_num}: {error}") from error
    if page:
        yield page


def _target(options: argparse.Namespace) -> codes_pb2.CodeTarget:
    target: UUID | None = options.batch
    if options.code:
        return codes_pb2.CodeTarget(voucher=VoucherReference(code=options.code))
    if target is not None:
        return codes_pb2.CodeTarget(batch_id=str(target))
    return codes_pb2.CodeTarget(campaign_id=str(options.campaign))


def _print_change(change: codes_pb2.CodeChange) -> int:
    scope = codes_pb2.CodeScope.Name(change.scope).removeprefix("CODE_SCOPE_").lower()
    state = "on" if change.active else "off"
    out.print(f"{scope} {change.target_id} is {state} (change {change.change_id})", markup=False)
    return 0

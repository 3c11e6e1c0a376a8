"""`quittance ledger verify` and `quittance ledger findings`."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from deploy.cli.console import ledger_channel, out, progress_bar
from deploy.cli.paging import pages_of
from deploy.cli.problems import UsageProblem
from quittance.ledger.v1 import proof_pb2
from quittance.ledger.v1.proof_pb2_grpc import ProofServiceStub

PAGE_SIZE = 500


async def verify(options: argparse.Namespace) -> int:
    """Verifies books with a progress bar; 1 when something was found."""
    known = read_seals(options.seals) if options.seals is not None else {}
    request = proof_pb2.VerifyRequest(book_ids=options.book, known_seals=known.values())
    books: list[proof_pb2.VerifiedBook] = []
    findings: list[proof_pb2.Finding] = []
    async with ledger_channel() as channel:
        with progress_bar() as bar:
            task = bar.add_task("verifying", total=None)
            async for response in ProofServiceStub(channel).Verify(request):
                if response.HasField("progress"):
                    progress = response.progress
                    bar.update(task, completed=progress.transfers_done, total=progress.transfers_total)
                elif response.HasField("finding"):
                    findings.append(response.finding)
                else:
                    books.append(response.book)
    _print_findings(findings)
    _print_summary(books)
    found = sum(book.findings for book in books)
    if options.seals is not None and not found:
        newest = {book.book_id: book.newest_seal for book in books if book.HasField("newest_seal")}
        write_seals(options.seals, known | newest)
    return 1 if found else 0


async def print_findings(options: argparse.Namespace) -> int:
    """Lists stored findings; 1 when there are any."""
    request = proof_pb2.ListFindingsRequest(only_open=not options.all, page_size=PAGE_SIZE)
    async with ledger_channel() as channel:
        pages = pages_of(ProofServiceStub(channel).ListFindings, request)
        findings = [finding async for page in pages for finding in page.findings]
    _print_findings(findings)
    out.print(f"{len(findings)} findings")
    return 1 if findings else 0


def read_seals(path: Path) -> dict[int, proof_pb2.SealReference]:
    """The seals kept in a file, by book; none when there is no file yet. Raises UsageProblem."""
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            int(book_id): proof_pb2.SealReference(
                book_id=int(book_id), to_sequence=seal["to_sequence"], sha256=bytes.fromhex(seal["sha256"])
            )
            for book_id, seal in kept.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageProblem(f"{path} holds no seals: {error}") from error


def write_seals(path: Path, seals: dict[int, proof_pb2.SealReference]) -> None:
    """Keeps the seals in a file; the one before stays whole until the new one is."""
    kept = {
        str(book_id): {"to_sequence": seal.to_sequence, "sha256": seal.sha256.hex()}
        for book_id, seal in sorted(seals.items())
    }
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def _print_findings(findings: Iterable[proof_pb2.Finding]) -> None:
    for finding in findings:
        kind = proof_pb2.FindingKind.Name(finding.kind).removeprefix("FINDING_KIND_")
        text = f"{kind} book {finding.book_id}: {finding.subject}: expected {finding.expected}, found {finding.found}"
        if finding.HasField("first_seen_time"):
            first, last = finding.first_seen_time.ToJsonString(), finding.last_seen_time.ToJsonString()
            text = f"{text} (first seen {first}, last seen {last})"
        out.print(text, markup=False)


def _print_summary(books: Iterable[proof_pb2.VerifiedBook]) -> None:
    table = Table("book", "transfers", "accounts", "sealed up to", "findings")
    for book in books:
        left_out = f" ({book.findings_left_out} not shown)" if book.findings_left_out else ""
        numbers = (book.transfers, book.accounts, book.newest_seal.to_sequence)
        table.add_row(str(book.book_id), *(f"{number:,}" for number in numbers), f"{book.findings:,}{left_out}")
    out.print(table)

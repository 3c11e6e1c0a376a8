"""The demo's exit code is what its facts are worth."""

import io

from rich.console import Console

from deploy.local.demo.report import Report, short


def reporting() -> tuple[Report, io.StringIO]:
    printed = io.StringIO()
    report = Report()
    report.console = Console(file=printed, width=112, record=True)
    report.part("(a) A part", "What it is about.")
    return report, printed


def test_report_with_right_facts_is_right() -> None:
    report, printed = reporting()
    report.fact("the wallet is empty", 0, 0)
    report.summary(1.0)
    assert report.is_right
    assert "✓ the wallet is empty" in printed.getvalue()


def test_report_with_a_wrong_fact_shows_the_difference() -> None:
    report, printed = reporting()
    report.fact("the voucher is not burnt", ["1/1"], ["0/1"])
    report.fact("the wallet is empty", 0, 0)
    report.summary(1.0)
    assert not report.is_right
    assert "✗ the voucher is not burnt" in printed.getvalue()
    assert "expected ['0/1']" in printed.getvalue()
    assert "but it is ['1/1']" in printed.getvalue()


def test_report_of_a_part_that_breaks_off_is_wrong() -> None:
    report, printed = reporting()
    report.broken(ExceptionGroup("several", [TimeoutError("too late"), AssertionError("[not] markup")]))
    assert not report.is_right
    assert "TimeoutError: too late" in printed.getvalue()
    assert "AssertionError: [not] markup" in printed.getvalue()


def test_short_of_a_text_with_ids_keeps_their_ends() -> None:
    assert short("grant:01a1fe18-4393-7140-8975-5fbddcead192 of 01a1fe18") == "grant:…ead192 of 01a1fe18"

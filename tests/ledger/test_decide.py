"""`decide` against a plain model of the same rules, and against what must hold whatever happens."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings

from services.ledger.domain.decide import decide
from services.ledger.domain.kinds import HoldState
from services.ledger.domain.records import Book
from services.ledger.domain.results import Transfer
from services.ledger.domain.state import Changes, State
from tests.ledger.model import Model
from tests.ledger.plans import World, brief, split_groups

START = datetime(2026, 1, 1, tzinfo=UTC)
WORLD = World(base=UUID("0190a5e4-0000-7000-8000-000000000001"), start=START)


class InMemoryLedger:
    """One state that is never written: each group goes on where the last one ended."""

    def __init__(self) -> None:
        self.state = State(books={book_id: Book(book_id, 1, 1, START) for book_id in (0, 1)})
        self.transfers: list[Transfer] = []

    def run(self, plans: Sequence[dict[str, Any]], now: datetime) -> list[object]:
        self.state.changes = Changes()
        for book in self.state.books.values():
            book.now = now
        outcomes = decide([WORLD.command(plan) for plan in plans], self.state)
        self.transfers += self.state.changes.transfers
        return list(outcomes)


@settings(max_examples=400)
@given(split_groups())
def test_decide_of_any_groups_agrees_with_the_model(planned: list[list[dict[str, Any]]]) -> None:
    """L3, L4, L5, V3, V4."""
    ledger, model = InMemoryLedger(), Model(revenue=WORLD.code("revenue"))
    for day, plans in enumerate(planned):
        now = START + timedelta(days=day)
        model.now = now
        expected = [model.do(WORLD.command(plan)) for plan in plans]
        assert [brief(outcome) for outcome in ledger.run(plans, now)] == expected
    for account in ledger.state.accounts.values():
        key = (account.book_id, account.currency, account.code)
        assert (account.posted_minor, account.held_minor) == (model.balance(key), model.held(key))


@settings(max_examples=300)
@given(split_groups())
def test_decide_of_any_groups_keeps_the_books(planned: list[list[dict[str, Any]]]) -> None:
    """L1, L2, L3: zero sums, balances from transfers, floors at every step, a sequence without gaps."""
    ledger = InMemoryLedger()
    for day, plans in enumerate(planned):
        ledger.run(plans, START + timedelta(days=day))
    accounts = {(each.book_id, each.account_id): each for each in ledger.state.accounts.values()}
    posted, held, last_seq = Counter[Any](), Counter[Any](), Counter[int]()
    for transfer in ledger.transfers:
        debit, credit = (transfer.book_id, transfer.debit_account_id), (transfer.book_id, transfer.credit_account_id)
        moved = transfer.amount_minor if transfer.kind in ("posted", "capture", "reversal") else 0
        posted[debit] -= moved
        posted[credit] += moved
        held[debit] += {"hold": 1, "capture": -1, "release": -1}.get(transfer.kind, 0) * transfer.amount_minor
        assert (transfer.debit_posted_minor, transfer.debit_held_minor) == (posted[debit], held[debit])
        assert (transfer.credit_posted_minor, transfer.credit_held_minor) == (posted[credit], held[credit])
        assert accounts[debit].floor_minor is None or posted[debit] - held[debit] >= accounts[debit].floor_minor
        assert held[debit] >= 0
        assert transfer.seq == last_seq[transfer.book_id] + 1
        last_seq[transfer.book_id] = transfer.seq
    for key, account in accounts.items():
        assert (account.posted_minor, account.held_minor) == (posted[key], held[key])
    assert sum(posted.values()) == 0


@settings(max_examples=200)
@given(split_groups())
def test_decide_of_the_same_commands_again_changes_nothing(planned: list[list[dict[str, Any]]]) -> None:
    """K-2: what was accepted is answered again or known to be over; nothing is done twice."""
    ledger = InMemoryLedger()
    accepted = [
        plan
        for plans in planned
        for plan, outcome in zip(plans, ledger.run(plans, START), strict=True)
        if brief(outcome)[0] != "refused"
    ]
    count, held = len(ledger.transfers), open_holds(ledger)
    for plan in accepted:
        (outcome,) = ledger.run([plan], START)
        if brief(outcome)[0] == "refused":
            # An undo may have come after it, a capture after its release never.
            assert str(brief(outcome)[1]).endswith("_ALREADY_UNDONE")
    assert len(ledger.transfers) == count
    assert open_holds(ledger) == held


def open_holds(ledger: InMemoryLedger) -> set[Any]:
    return {hold.key for hold in ledger.state.holds.values() if hold.state is HoldState.HELD}


@settings(max_examples=200)
@given(split_groups())
def test_decide_one_by_one_agrees_with_decide_in_groups(planned: list[list[dict[str, Any]]]) -> None:
    """How commands fall into groups is chance and must not matter."""
    together, apart = InMemoryLedger(), InMemoryLedger()
    for plans in planned:
        one_by_one = [outcome for plan in plans for outcome in apart.run([plan], START)]
        assert [brief(each) for each in together.run(plans, START)] == [brief(each) for each in one_by_one]
    assert together.transfers == apart.transfers

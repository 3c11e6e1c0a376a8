"""Random sequences of commands from a small world, where ids, wallets and accounts keep meeting each other."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from services.ledger.domain.commands import (
    AnyCommand,
    CaptureHold,
    GrantCredits,
    GrantOrder,
    HoldCredits,
    PostTransaction,
    ReleaseHold,
    RevokeGrant,
    TransferOrder,
)
from services.ledger.domain.kinds import CreditCategory
from services.ledger.domain.results import GrantView, HoldView, PostedTransaction, ReleasedHold, RevokedGrant
from services.runtime.errors import ServiceError
from services.runtime.ids import derived_id

HUGE = 2**62

# One wallet above all, and few ids, so that commands meet; now and then one meets what is none of its business.
wallets = st.sampled_from([(0, "OMR")] * 8 + [(0, "USD"), (1, "OMR"), (2, "OMR")])
hold_ids = st.sampled_from([0, 1, 2] * 4 + [3, 5])
grant_ids = st.sampled_from([3, 4, 5, 6, 7, 8] * 3 + [0])
transaction_ids = st.sampled_from([9, 10] * 3 + [3])
codes = st.sampled_from(["a", "b", "a", "b", "c", "grant:x"])
sources = st.sampled_from(["a", "b"] * 8 + ["grant:x"])
days = st.sampled_from([None, None, 1, 2, 4, 12])
grant_plans = st.fixed_dictionaries(
    {
        "id": grant_ids,
        "amount": st.integers(1, 6),
        "category": st.sampled_from(CreditCategory),
        "priority": st.integers(0, 1),
        "expires": days,
        "source": sources,
    }
)
transfer_plans = st.tuples(codes, codes, st.one_of(st.integers(1, 9), st.just(HUGE)))


def plan(what: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"what": st.just(what), "wallet": wallets, **fields})


hold_plans = plan(
    "hold",
    id=hold_ids,
    target=st.integers(0, 12),
    born=st.one_of(st.just([]), st.lists(grant_plans, min_size=1, max_size=2)),
    expires=st.sampled_from([3, 20, 20]),
)
end_plans = st.one_of(
    plan("capture", id=hold_ids, amount=st.integers(0, 6)),
    plan("release", id=hold_ids, reverse=st.booleans()),
)
plans = st.one_of(
    plan("post", id=transaction_ids, transfers=st.lists(transfer_plans, min_size=1, max_size=3)),
    plan("grant", grant=grant_plans),
    plan("revoke", id=grant_ids),
    hold_plans,
    end_plans,
)
# The life of a hold, begun with something in the wallet and ended more than once.
lives = st.tuples(
    st.lists(plan("grant", grant=grant_plans), max_size=3), hold_plans, st.lists(end_plans, min_size=1, max_size=3)
).map(lambda life: [*life[0], life[1], *life[2]])
groups = st.lists(
    st.one_of(st.lists(plans, min_size=1, max_size=4), lives, lives.flatmap(st.permutations)), min_size=1, max_size=8
)


@st.composite
def split_groups(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """The same kind of sequences, most of them with each command in a group of its own, repeats among them."""
    planned = draw(groups)
    if draw(st.booleans()):
        return planned
    one_by_one = [plan for plans in planned for plan in plans]
    repeats = draw(st.lists(st.sampled_from(one_by_one), max_size=4))
    return [[plan] for plan in [*one_by_one, *repeats]]


@dataclass(frozen=True)
class World:
    """Turns plans into commands. `base` keeps worlds apart that share a database; a day is counted from `start`."""

    base: UUID
    start: datetime

    def id(self, number: int) -> UUID:
        return derived_id(self.base, f"id {number}")

    def day(self, number: int | None) -> Any:
        return None if number is None else self.start + timedelta(days=number)

    def code(self, name: str) -> str:
        return f"{name}:{self.base}"

    def command(self, plan: dict[str, Any]) -> AnyCommand:
        owner, currency = plan["wallet"]
        where: dict[str, Any] = {
            "book_id": owner % 2,
            "owner_id": derived_id(self.base, f"owner {owner}"),
            "currency": currency,
            "reason": "test",
        }
        match plan["what"]:
            case "post":
                transfers = [TransferOrder(self.code(d), self.code(c), amount) for d, c, amount in plan["transfers"]]
                return PostTransaction(transaction_id=self.id(plan["id"]), transfers=transfers, **where)
            case "grant":
                return GrantCredits(grant=self.order(plan["grant"]), **where)
            case "revoke":
                return RevokeGrant(grant_id=self.id(plan["id"]), **where)
            case "hold":
                return HoldCredits(
                    hold_id=self.id(plan["id"]),
                    target_minor=plan["target"],
                    born_held=[self.order(born) for born in plan["born"]],
                    credit_code=self.code("revenue"),
                    expires_at=self.day(plan["expires"]),
                    **where,
                )
            case "capture":
                return CaptureHold(hold_id=self.id(plan["id"]), amount_minor=plan["amount"], **where)
            case _:
                return ReleaseHold(hold_id=self.id(plan["id"]), reverse_born_held=plan["reverse"], **where)

    def order(self, plan: dict[str, Any]) -> GrantOrder:
        return GrantOrder(
            grant_id=self.id(plan["id"]),
            amount_minor=plan["amount"],
            category=plan["category"],
            priority=plan["priority"],
            expires_at=self.day(plan["expires"]),
            source_code=self.code(plan["source"]),
        )


def brief(outcome: object) -> tuple[object, ...]:
    """An outcome as the model says it: without sequence, account ids and times."""
    match outcome:
        case ServiceError():
            return "refused", outcome.reason
        case PostedTransaction():
            return "posted", [(each.debit_posted_minor, each.credit_posted_minor) for each in outcome.transfers]
        case GrantView():
            return "granted", outcome.grant_id, outcome.granted_minor, outcome.balance_minor, outcome.held_minor
        case RevokedGrant():
            return "revoked", outcome.reversed_minor
        case HoldView():
            parts = [(part.grant_id, part.held_minor, part.captured_minor, part.born_held) for part in outcome.parts]
            return "hold", outcome.state.value, outcome.held_minor, outcome.captured_minor, parts
        case ReleasedHold():
            return "released", outcome.released_minor, outcome.reversed_minor
        case _:
            raise TypeError(outcome)


def without_moments(outcome: object) -> object:
    """A whole outcome, comparable between two ledgers that count and tell the time differently."""
    if isinstance(outcome, PostedTransaction | ServiceError):
        return brief(outcome)
    return replace(outcome, effective_at=None) if isinstance(outcome, GrantView) else outcome

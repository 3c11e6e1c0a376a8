"""Random sequences of commands from a small world, where ids, wallets and accounts keep meeting each other."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from services.ledger.domain.commands import (
    AnyCommand,
    CaptureHold,
    CloseAccount,
    ExpireGrant,
    ExpireHold,
    ExpireTransfer,
    GrantCredits,
    GrantOrder,
    HoldCredits,
    OpenAccount,
    PostTransaction,
    RefundCredits,
    ReleaseHold,
    RevokeGrant,
    Target,
    TransferOrder,
)
from services.ledger.domain.kinds import CreditCategory, TransferKind
from services.ledger.domain.results import (
    AccountPlace,
    Expired,
    GrantView,
    HoldView,
    PostedTransaction,
    Refund,
    ReleasedHold,
    RevokedGrant,
)
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
refund_ids = st.sampled_from([11, 12, 13] * 3 + [3, 9])
days = st.sampled_from([None, None, 1, 2, 4, 12])
grant_plans = st.fixed_dictionaries(
    {
        "id": grant_ids,
        "amount": st.integers(1, 6),
        "category": st.sampled_from(CreditCategory),
        "priority": st.integers(0, 1),
        "expires": days,
        "effective": st.sampled_from([None] * 6 + [0, 1, 3]),
        "source": sources,
    }
)
amounts = st.one_of(st.integers(1, 9), st.just(HUGE))
positions = st.tuples(transaction_ids, st.integers(0, 2))
transfer_plans = st.one_of(
    st.tuples(st.just("posted"), codes, codes, amounts),
    st.tuples(st.just("hold"), codes, codes, st.integers(1, 9), st.sampled_from([None, None, 0, 1, 2, 4])),
    st.tuples(st.sampled_from(["capture", "reversal"]), positions, st.integers(1, 9)),
    st.tuples(st.just("release"), positions, st.just(0)),
)


def plan(what: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"what": st.just(what), "wallet": wallets, **fields})


hold_plans = plan(
    "hold",
    id=hold_ids,
    target=st.integers(0, 12),
    born=st.one_of(st.just([]), st.lists(grant_plans, min_size=1, max_size=2)),
    expires=st.sampled_from([3, 20, 20]),
)
refund_plans = plan(
    "refund",
    id=refund_ids,
    hold=st.sampled_from([0, 0, 0, 1, 2, 3]),
    amount=st.integers(1, 5),
    grace=st.sampled_from([1, 3]),
)
end_plans = st.one_of(
    plan("capture", id=hold_ids, amount=st.integers(1, 6)),
    plan("release", id=hold_ids, reverse=st.booleans()),
    plan("expire hold", id=hold_ids),
)
plans = st.one_of(
    plan("post", id=transaction_ids, transfers=st.lists(transfer_plans, min_size=1, max_size=3)),
    plan("open", code=codes, floor=st.sampled_from([None, None, 0, -5])),
    plan("close", code=codes),
    plan("grant", grant=grant_plans),
    plan("revoke", id=grant_ids, partial=st.booleans()),
    plan("expire grant", id=grant_ids),
    plan("expire transfer", target=positions),
    hold_plans,
    end_plans,
    refund_plans,
)
# The life of a hold, begun with something in the wallet and ended more than once.
lives = st.tuples(
    st.lists(plan("grant", grant=grant_plans), max_size=3), hold_plans, st.lists(end_plans, min_size=1, max_size=3)
).map(lambda life: [*life[0], life[1], *life[2]])
# The life of a transaction's hold, which nothing else would meet often enough.
transaction_ends = st.one_of(
    plan("expire transfer", target=st.just((9, 0))),
    plan(
        "post",
        id=st.sampled_from([10, 13]),
        transfers=st.tuples(st.sampled_from(["capture", "release"]), st.just((9, 0)), st.integers(1, 6)).map(
            lambda end: [(end[0], end[1], end[2] if end[0] == "capture" else 0)]
        ),
    ),
)
transaction_lives = st.tuples(
    plan(
        "post",
        id=st.just(9),
        transfers=st.tuples(st.integers(1, 6), st.sampled_from([1, 2, 3])).map(
            lambda hold: [("hold", "a", "b", *hold)]
        ),
    ),
    st.lists(transaction_ends, min_size=1, max_size=4),
).map(lambda life: [{**step, "wallet": (0, "OMR")} for step in [life[0], *life[1]]])
groups = st.lists(
    st.one_of(st.lists(plans, min_size=1, max_size=4), lives, lives.flatmap(st.permutations), transaction_lives),
    min_size=1,
    max_size=8,
)


@st.composite
def tales(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """One wallet from the first day on: held, spent or not, given back, expired, revoked, as the days go by."""
    amounts, ends = st.integers(1, 6), st.sampled_from([None, 1, 2, 3, 5])
    given = [
        {
            "what": "grant",
            "grant": {
                "id": grant_id,
                "amount": draw(amounts),
                "category": draw(st.sampled_from(CreditCategory)),
                "priority": 0,
                "expires": draw(ends),
                "effective": draw(st.sampled_from([None, None, 1])),
                "source": "a",
            },
        }
        for grant_id in (3, 4, 5)
    ]
    born = draw(st.lists(grant_plans.map(lambda grant: {**grant, "id": 6, "source": "b"}), max_size=1))
    held = [
        {"what": "hold", "id": hold_id, "target": draw(st.integers(2, 12)), "born": born, "expires": expires}
        for hold_id, born, expires in ((0, born, draw(st.sampled_from([2, 20]))), (1, [], 3))
    ]
    id_of_grant, id_of_hold = st.sampled_from([3, 4, 5, 6]), st.sampled_from([0, 0, 1])
    steps = st.one_of(
        plan("capture", id=id_of_hold, amount=amounts),
        plan("release", id=id_of_hold, reverse=st.booleans()),
        plan("expire hold", id=id_of_hold),
        plan("expire grant", id=id_of_grant),
        plan("revoke", id=id_of_grant, partial=st.sampled_from([True, True, False])),
        refund_plans.map(lambda refund: {**refund, "amount": (refund["amount"] + 1) // 2}),
        hold_plans,
    )
    later = draw(st.lists(st.lists(steps, max_size=3), min_size=2, max_size=8))
    if draw(st.booleans()):
        spent = [{"what": "capture", "id": 0, "amount": draw(amounts)}]
        later.insert(0, spent + draw(st.lists(refund_plans.map(lambda refund: {**refund, "hold": 0}), max_size=2)))
        later.append([draw(refund_plans.map(lambda refund: {**refund, "hold": 0}))])
    return [[{**step, "wallet": (0, "OMR")} for step in group] for group in [[*given, *held], *later]]


@st.composite
def split_groups(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """The same kind of sequences, most of them with each command in a group of its own, repeats among them."""
    if draw(st.booleans()):
        return draw(tales())
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

    def command(self, plan: dict[str, Any]) -> AnyCommand:  # noqa: PLR0911 - a table
        owner, currency = plan["wallet"]
        where: dict[str, Any] = {
            "book_id": owner % 2,
            "owner_id": derived_id(self.base, f"owner {owner}"),
            "currency": currency,
            "reason": "test",
        }
        match plan["what"]:
            case "post":
                transfers = [self.transfer(*transfer) for transfer in plan["transfers"]]
                return PostTransaction(transaction_id=self.id(plan["id"]), transfers=transfers, **where)
            case "open":
                return OpenAccount(code=self.code(plan["code"]), floor_minor=plan["floor"], **where)
            case "close":
                return CloseAccount(code=self.code(plan["code"]), **where)
            case "grant":
                return GrantCredits(grant=self.order(plan["grant"]), **where)
            case "revoke":
                return RevokeGrant(grant_id=self.id(plan["id"]), allow_partial=plan["partial"], **where)
            case "refund":
                return RefundCredits(
                    refund_id=self.id(plan["id"]),
                    hold_id=self.id(plan["hold"]),
                    amount_minor=plan["amount"],
                    grace_days=plan["grace"],
                    **where,
                )
            case "expire hold":
                return ExpireHold(hold_id=self.id(plan["id"]), **where)
            case "expire transfer":
                number, position = plan["target"]
                return ExpireTransfer(target=Target(self.id(number), position), **where)
            case "expire grant":
                return ExpireGrant(grant_id=self.id(plan["id"]), **where)
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

    def transfer(self, kind: str, *fields: Any) -> TransferOrder:
        if kind in ("posted", "hold"):
            debit, credit, amount, *expires = fields
            expires_at = self.day(expires[0]) if expires else None
            return TransferOrder(self.code(debit), self.code(credit), amount, TransferKind(kind), expires_at=expires_at)
        (transaction, position), amount = fields
        return TransferOrder("", "", amount, TransferKind(kind), Target(self.id(transaction), position))

    def order(self, plan: dict[str, Any]) -> GrantOrder:
        return GrantOrder(
            grant_id=self.id(plan["id"]),
            amount_minor=plan["amount"],
            category=plan["category"],
            priority=plan["priority"],
            expires_at=self.day(plan["expires"]),
            source_code=self.code(plan["source"]),
            effective_at=self.begin(plan),
        )

    def begin(self, plan: dict[str, Any]) -> Any:
        """Of a grant; requests that begin at their end or later do not get so far."""
        never = plan["expires"] is not None and plan["effective"] is not None and plan["effective"] >= plan["expires"]
        return None if never else self.day(plan["effective"])


def brief(outcome: object) -> tuple[object, ...]:  # noqa: PLR0911 - a table
    """An outcome as the model says it: without sequence, account ids and times."""
    match outcome:
        case ServiceError():
            return "refused", outcome.reason
        case PostedTransaction():
            return "posted", [
                (each.debit_posted_minor, each.debit_held_minor, each.credit_posted_minor) for each in outcome.transfers
            ]
        case AccountPlace():
            return "account", outcome.code
        case GrantView():
            return "granted", outcome.grant_id, outcome.granted_minor, outcome.balance_minor, outcome.held_minor
        case RevokedGrant():
            return "revoked", outcome.reversed_minor, outcome.spent_minor, outcome.held_minor
        case Refund():
            parts = [(part.grant_id, part.amount_minor, part.returned_to_grant_id) for part in outcome.parts]
            return "refunded", outcome.amount_minor, parts
        case Expired():
            return "expired", outcome.amount_minor
        case HoldView():
            parts = [(part.grant_id, part.held_minor, part.captured_minor, part.born_held) for part in outcome.parts]
            return "hold", outcome.state.value, outcome.held_minor, outcome.captured_minor, parts
        case ReleasedHold():
            return "released", outcome.released_minor, outcome.reversed_minor
        case _:
            raise TypeError(outcome)


def without_places(outcome: object) -> object:
    """A whole outcome, comparable between two ledgers that count differently."""
    return brief(outcome) if isinstance(outcome, PostedTransaction | ServiceError) else outcome

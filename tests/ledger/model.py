"""The ledger's rules a second time, as slow and as plain as can be: sums are added up from all that ever happened."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.ledger.domain.commands import (
    AnyCommand,
    CaptureHold,
    GrantCredits,
    GrantOrder,
    HoldCredits,
    PostTransaction,
    ReleaseHold,
    RevokeGrant,
)

BOUND = 2**63
WORDS = {
    PostTransaction: "post",
    GrantCredits: "grant",
    RevokeGrant: "revoke",
    HoldCredits: "hold",
    CaptureHold: "capture",
    ReleaseHold: "release",
}


class No(Exception):
    """A refusal."""


@dataclass
class Thing:
    """What an id stands for."""

    kind: str
    wallet: tuple[Any, ...]
    fields: object
    state: str = "live"
    answer: tuple[object, ...] = ()
    captured: int = 0
    reversed_born: bool | None = None
    parts: list[tuple[UUID, int]] = field(default_factory=list)
    born_of: UUID | None = None
    order: GrantOrder | None = None
    given_at: datetime | None = None


class Model:
    """All books; an account is (book, currency, code). `revenue` is where captures pay to."""

    def __init__(self, revenue: str) -> None:
        self.revenue = revenue
        self.things: dict[tuple[int, UUID], Thing] = {}
        self.moves: list[tuple[object, object, int]] = []
        self.holds: list[tuple[object, int]] = []
        self.now = datetime.min.replace(tzinfo=UTC)

    def do(self, command: AnyCommand) -> tuple[object, ...]:
        moves, holds, things = list(self.moves), list(self.holds), dict(self.things)
        try:
            return getattr(self, WORDS[type(command)])(command)
        except No as no:
            self.moves, self.holds, self.things = moves, holds, things
            return "refused", str(no)

    def balance(self, account: object) -> int:
        return sum(n for _, to, n in self.moves if to == account) - sum(n for of, _, n in self.moves if of == account)

    def held(self, account: object) -> int:
        return sum(n for of, n in self.holds if of == account)

    def post(self, command: PostTransaction) -> tuple[object, ...]:
        fields = (wallet_of(command), list(command.transfers))
        known = self.things.get((command.book_id, command.transaction_id))
        if known is not None:
            if known.kind != "transaction" or known.fields != fields:
                raise No("TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD")
            return known.answer
        sums = []
        for debit, credit, amount in command.transfers:
            if debit == credit:
                raise No("SAME_ACCOUNT")
            self.move(self.system(command, debit), self.system(command, credit), amount)
            sums.append((self.balance(self.system(command, debit)), self.balance(self.system(command, credit))))
        answer = ("posted", sums)
        self.things[command.book_id, command.transaction_id] = Thing(
            "transaction", wallet_of(command), fields, answer=answer
        )
        return answer

    def grant(self, command: GrantCredits) -> tuple[object, ...]:
        order, fields = command.grant, (wallet_of(command), command.grant)
        known = self.things.get((command.book_id, order.grant_id))
        if known is not None:
            if known.kind == "grant" and known.state == "tombstone":
                raise No("GRANT_ALREADY_UNDONE")
            if known.kind != "grant" or known.fields != fields or known.born_of is not None:
                raise No("GRANT_EXISTS_WITH_DIFFERENT_FIELD")
            if known.state == "undone":
                raise No("GRANT_ALREADY_UNDONE")
            return known.answer
        self.give(command, order, None)
        return self.things[command.book_id, order.grant_id].answer

    def revoke(self, command: RevokeGrant) -> tuple[object, ...]:
        known = self.things.get((command.book_id, command.grant_id))
        if known is None:
            self.things[command.book_id, command.grant_id] = Thing("grant", wallet_of(command), None, "tombstone")
            return "revoked", 0
        if known.kind != "grant" or known.wallet != wallet_of(command):
            raise No("GRANT_EXISTS_WITH_DIFFERENT_FIELD")
        if known.state == "tombstone":
            return "revoked", 0
        assert known.order is not None
        if known.state == "live":
            account = purse(command, command.grant_id)
            if self.balance(account) - self.held(account) < known.order.amount_minor:
                raise No("GRANT_ALREADY_SPENT")
            self.take_back(command, command.grant_id)
        return "revoked", known.order.amount_minor

    def hold(self, command: HoldCredits) -> tuple[object, ...]:
        fields = (wallet_of(command), command.target_minor, list(command.born_held), command.expires_at)
        known = self.things.get((command.book_id, command.hold_id))
        if known is not None:
            if known.kind == "hold" and known.state == "tombstone":
                raise No("HOLD_ALREADY_UNDONE")
            if known.kind != "hold" or known.fields != fields:
                raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
            if known.state == "released":
                raise No("HOLD_ALREADY_UNDONE")
            return known.answer
        self.require_possible(command)
        for order in command.born_held:
            self.give(command, order, command.hold_id)
        self.system(command, command.credit_code)
        hold = Thing("hold", wallet_of(command), fields, "held")
        hold.parts = self.parts(command)
        for grant_id, amount in hold.parts:
            self.holds.append((purse(command, grant_id), amount))
        self.things[command.book_id, command.hold_id] = hold
        hold.answer = self.view(command, hold)
        return hold.answer

    def capture(self, command: CaptureHold) -> tuple[object, ...]:
        hold = self.things.get((command.book_id, command.hold_id))
        if hold is None:
            raise No("HOLD_NOT_FOUND")
        if hold.kind != "hold" or hold.wallet != wallet_of(command):
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        if hold.state in ("tombstone", "released"):
            raise No("HOLD_ALREADY_RELEASED")
        if hold.state == "captured":
            if hold.captured != command.amount_minor:
                raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
            return self.view(command, hold)
        if command.amount_minor > sum(amount for _, amount in hold.parts):
            raise No("CAPTURE_EXCEEDS_HOLD")
        hold.captured, hold.state = command.amount_minor, "captured"
        revenue = (command.book_id, command.currency, self.revenue)
        for grant_id, captured, held in self.shares(hold):
            self.holds.append((purse(command, grant_id), -held))
            self.move(purse(command, grant_id), revenue, captured)
        return self.view(command, hold)

    def release(self, command: ReleaseHold) -> tuple[object, ...]:
        hold = self.things.get((command.book_id, command.hold_id))
        if hold is None:
            self.things[command.book_id, command.hold_id] = Thing("hold", wallet_of(command), None, "tombstone")
            return "released", 0, 0
        if hold.kind != "hold" or hold.wallet != wallet_of(command):
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        if hold.state == "tombstone":
            return "released", 0, 0
        if hold.state == "captured":
            raise No("HOLD_ALREADY_CAPTURED")
        born = [(g, n) for g, n in hold.parts if self.things[command.book_id, g].born_of == command.hold_id]
        if hold.state == "held":
            hold.state, hold.reversed_born = "released", command.reverse_born_held
            self.holds += [(purse(command, grant_id), -amount) for grant_id, amount in hold.parts]
            for grant_id, _ in born if command.reverse_born_held else ():
                self.take_back(command, grant_id)
        elif hold.reversed_born != command.reverse_born_held:
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        reversed_minor = sum(n for _, n in born) if command.reverse_born_held else 0
        return "released", sum(n for _, n in hold.parts), reversed_minor

    # Plain words -------------------------------------------------------------------------------------------------

    def system(self, command: AnyCommand, code: str) -> tuple[int, str, str]:
        if code.startswith("grant:"):
            raise No("ACCOUNT_RESERVED")
        return command.book_id, command.currency, code

    def move(self, debit: object, credit: object, amount: int) -> None:
        if self.balance(debit) - amount < -BOUND or self.balance(credit) + amount >= BOUND:
            raise No("AMOUNT_OUT_OF_RANGE")
        self.moves.append((debit, credit, amount))

    def give(self, command: GrantCredits | HoldCredits, order: GrantOrder, hold_id: UUID | None) -> None:
        if order.expires_at is not None and order.expires_at <= self.now:
            raise No("EXPIRE_TIME_PASSED")
        self.move(self.system(command, order.source_code), purse(command, order.grant_id), order.amount_minor)
        thing = Thing("grant", wallet_of(command), (wallet_of(command), order), order=order, born_of=hold_id)
        thing.answer = ("granted", order.grant_id, order.amount_minor, order.amount_minor, 0)
        thing.given_at = self.now
        self.things[command.book_id, order.grant_id] = thing

    def take_back(self, command: AnyCommand, grant_id: UUID) -> None:
        grant = self.things[command.book_id, grant_id]
        assert grant.order is not None
        grant.state = "undone"
        source = (command.book_id, command.currency, grant.order.source_code)
        self.move(purse(command, grant_id), source, grant.order.amount_minor)

    def require_possible(self, command: HoldCredits) -> None:
        if command.expires_at <= self.now:
            raise No("EXPIRE_TIME_PASSED")
        seen = {command.hold_id}
        for order in command.born_held:
            known = self.things.get((command.book_id, order.grant_id))
            if order.grant_id in seen:
                raise No("GRANT_EXISTS_WITH_DIFFERENT_FIELD")
            if known is not None:
                is_undone = known.kind == "grant" and known.state != "live"
                raise No("GRANT_ALREADY_UNDONE" if is_undone else "GRANT_EXISTS_WITH_DIFFERENT_FIELD")
            if order.expires_at is not None and order.expires_at <= self.now:
                raise No("EXPIRE_TIME_PASSED")
            seen.add(order.grant_id)

    def parts(self, command: HoldCredits) -> list[tuple[UUID, int]]:
        born = {order.grant_id: order.amount_minor for order in command.born_held}
        missing = command.target_minor - sum(born.values())
        found = []
        for grant_id in self.in_burn_order(command):
            account = purse(command, grant_id)
            free = self.balance(account) - self.held(account)
            if grant_id in born:
                found.append((grant_id, born[grant_id]))
            elif free > 0 and missing > 0 and self.is_valid(command, grant_id):
                found.append((grant_id, min(free, missing)))
                missing -= found[-1][1]
        return found

    def in_burn_order(self, command: HoldCredits) -> list[UUID]:
        mine = {
            key[1]: thing
            for key, thing in self.things.items()
            if key[0] == command.book_id and thing.order is not None and thing.wallet == wallet_of(command)
        }

        def rank(grant_id: UUID) -> tuple[object, ...]:
            thing = mine[grant_id]
            order = thing.order
            assert order is not None
            never = order.expires_at is None
            return order.priority, never, order.expires_at or 0, order.category == "paid", thing.given_at, grant_id

        return sorted(mine, key=rank)

    def is_valid(self, command: HoldCredits, grant_id: UUID) -> bool:
        order = self.things[command.book_id, grant_id].order
        assert order is not None
        return order.expires_at is None or order.expires_at > self.now

    def shares(self, hold: Thing) -> list[tuple[UUID, int, int]]:
        """Grant, captured, held: the first in burn order pay first."""
        left, shares = hold.captured, []
        for grant_id, held in hold.parts:
            shares.append((grant_id, min(held, left), held))
            left -= shares[-1][1]
        return shares

    def view(self, command: HoldCredits | CaptureHold, hold: Thing) -> tuple[object, ...]:
        parts = [
            (grant_id, held, captured, self.things[command.book_id, grant_id].born_of == command.hold_id)
            for grant_id, captured, held in self.shares(hold)
        ]
        return "hold", hold.state, sum(held for _, held in hold.parts), hold.captured, parts


def wallet_of(command: AnyCommand) -> tuple[object, ...]:
    return command.owner_id, command.currency


def purse(command: AnyCommand, grant_id: UUID) -> tuple[int, str, str]:
    return command.book_id, command.currency, f"grant:{grant_id}"

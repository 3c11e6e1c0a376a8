"""The ledger's rules a second time, as slow and as plain as can be: sums are added up from all that ever happened."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

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
    TransferOrder,
)
from services.runtime.ids import derived_id

BOUND = 2**63
FOR_EVER = datetime.max.replace(tzinfo=UTC)
WORDS = {
    PostTransaction: "post",
    OpenAccount: "open",
    CloseAccount: "close",
    GrantCredits: "grant",
    RevokeGrant: "revoke",
    HoldCredits: "hold",
    CaptureHold: "capture",
    ReleaseHold: "release",
    RefundCredits: "refund",
    ExpireHold: "expire_hold",
    ExpireGrant: "expire_grant",
    ExpireTransfer: "expire_transfer",
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
    made: list[tuple[str, object, object, int]] = field(default_factory=list)
    expiries: dict[int, datetime] = field(default_factory=dict)
    born_of: UUID | None = None
    order: GrantOrder | None = None
    given_at: datetime | None = None
    refunded: dict[UUID, int] = field(default_factory=dict)
    swept: bool = False
    ends_at: datetime = FOR_EVER
    revoked: tuple[object, ...] = ()


class Model:
    """All books; an account is (book, currency, code). `revenue` is where captures pay to."""

    def __init__(self, revenue: str) -> None:
        self.revenue = revenue
        self.things: dict[tuple[int, UUID], Thing] = {}
        self.moves: list[tuple[object, object, int]] = []
        self.holds: list[tuple[object, int]] = []
        # What became of a transaction's transfers: book, transaction, position, kind, amount.
        self.ends: list[tuple[int, UUID, int, str, int]] = []
        # Accounts ever used or opened, with their floors, and those that are closed.
        self.floors: dict[object, int | None] = {}
        self.closed: set[object] = set()
        self.now = datetime.min.replace(tzinfo=UTC)

    def do(self, command: AnyCommand) -> tuple[object, ...]:
        moves, holds = list(self.moves), list(self.holds)
        others = list(self.ends), dict(self.floors), set(self.closed)
        things = {key: replace(thing, refunded=dict(thing.refunded)) for key, thing in self.things.items()}
        try:
            return getattr(self, WORDS[type(command)])(command)
        except No as no:
            self.moves, self.holds, self.things = moves, holds, things
            self.ends, self.floors, self.closed = others
            return "refused", str(no)

    def balance(self, account: object) -> int:
        return sum(n for _, to, n in self.moves if to == account) - sum(n for of, _, n in self.moves if of == account)

    def held(self, account: object) -> int:
        return sum(n for of, n in self.holds if of == account)

    def post(self, command: PostTransaction) -> tuple[object, ...]:
        fields = (wallet_of(command), list(command.transfers), command.metadata)
        known = self.things.get((command.book_id, command.transaction_id))
        if known is not None:
            if known.kind != "transaction" or known.fields != fields:
                raise No("TRANSACTION_EXISTS_WITH_DIFFERENT_FIELD")
            return known.answer
        sums: list[tuple[int, int, int]] = []
        made: list[tuple[str, object, object, int]] = []
        expiries: dict[int, datetime] = {}
        for order in command.transfers:
            for kind, debit, credit, amount in self.steps(command, order):
                self.step(kind, debit, credit, amount)
                made.append((kind, debit, credit, amount))
                sums.append((self.balance(debit), self.held(debit), self.balance(credit)))
            if order.expires_at is not None:
                if order.expires_at <= self.now:
                    raise No("EXPIRE_TIME_PASSED")
                expiries[len(made) - 1] = order.expires_at
        thing = Thing("transaction", wallet_of(command), fields, answer=("posted", sums))
        thing.made, thing.expiries = made, expiries
        self.things[command.book_id, command.transaction_id] = thing
        return thing.answer

    def steps(self, command: PostTransaction, order: TransferOrder) -> list[tuple[str, object, object, int]]:
        if order.target is None:
            if order.debit_code == order.credit_code:
                raise No("SAME_ACCOUNT")
            debit, credit = self.system(command, order.debit_code), self.system(command, order.credit_code)
            return [(order.kind, debit, credit, order.amount_minor)]
        place = (command.book_id, *order.target)
        target = self.things.get(place[:2])
        if (
            target is None
            or target.kind != "transaction"
            or target.wallet[1] != command.currency
            or order.target.position >= len(target.made)
        ):
            raise No("TRANSFER_NOT_FOUND")
        kind, debit, credit, amount = target.made[order.target.position]
        ends = [(how, n) for *where, how, n in self.ends if tuple(where) == place]
        if kind not in ("posted", "capture") if order.kind == "reversal" else kind != "hold":
            raise No("TRANSFER_KIND_UNSUITABLE")
        if order.kind != "reversal" and ends:
            raise No("TRANSFER_ALREADY_ENDED")
        left = amount - sum(n for _, n in ends)
        if order.amount_minor > left:
            raise No("AMOUNT_EXCEEDS_TRANSFER")
        self.ends.append((*place, order.kind, order.amount_minor))
        if order.kind == "reversal":
            return [("reversal", credit, debit, order.amount_minor)]
        steps = [("capture", debit, credit, order.amount_minor), ("release", debit, credit, left - order.amount_minor)]
        return [step for step in steps if step[-1] > 0]

    def step(self, kind: str, debit: object, credit: object, amount: int) -> None:
        if kind == "hold":
            self.require_floor(debit, amount)
        if kind in ("capture", "release"):
            self.holds.append((debit, -amount))
        if kind == "hold":
            self.holds.append((debit, amount))
        if kind not in ("hold", "release"):
            self.move(debit, credit, amount)

    def open(self, command: OpenAccount) -> tuple[object, ...]:
        account = (command.book_id, command.currency, command.code)
        if command.code.startswith("grant:"):
            raise No("ACCOUNT_RESERVED")
        if account in self.closed:
            raise No("ACCOUNT_CLOSED")
        if self.floors.setdefault(account, command.floor_minor) != command.floor_minor:
            raise No("ACCOUNT_EXISTS_WITH_DIFFERENT_FIELD")
        return "account", command.code

    def close(self, command: CloseAccount) -> tuple[object, ...]:
        account = (command.book_id, command.currency, command.code)
        if account not in self.floors:
            raise No("ACCOUNT_NOT_FOUND")
        if self.balance(account) or self.held(account):
            raise No("ACCOUNT_NOT_EMPTY")
        self.closed.add(account)
        return "account", command.code

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
            return "revoked", 0, 0, 0
        if known.kind != "grant" or known.wallet != wallet_of(command):
            raise No("GRANT_EXISTS_WITH_DIFFERENT_FIELD")
        if known.state == "tombstone":
            return "revoked", 0, 0, 0
        assert known.order is not None
        account, given = purse(command, command.grant_id), known.order.amount_minor
        free, held, lost = self.balance(account) - self.held(account), self.held(account), self.lost(command, account)
        answer = known.revoked or ("revoked", free + lost, given - free - lost - held, held)
        if answer[1] != given and not command.allow_partial:
            raise No("GRANT_ALREADY_SPENT")
        if known.state == "live":
            source = (command.book_id, command.currency, known.order.source_code)
            for of, amount in ((account, free), (self.breakage(command), lost)):
                if amount:
                    self.move(of, source, amount)
            known.state, known.revoked = "undone", answer
        return answer

    def hold(self, command: HoldCredits) -> tuple[object, ...]:
        fields = (wallet_of(command), command.target_minor, list(command.born_held), command.expires_at)
        known = self.things.get((command.book_id, command.hold_id))
        if known is not None:
            if known.kind == "hold" and known.state == "tombstone":
                raise No("HOLD_ALREADY_UNDONE")
            if known.kind != "hold" or known.fields != fields:
                raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
            if known.state in ("released", "expired"):
                raise No("HOLD_ALREADY_UNDONE")
            return known.answer
        self.require_possible(command)
        for order in command.born_held:
            self.give(command, order, command.hold_id)
        self.system(command, command.credit_code)
        hold = Thing("hold", wallet_of(command), fields, "held", ends_at=command.expires_at)
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
        if hold.state == "expired":
            raise No("HOLD_EXPIRED")
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
            if captured:
                self.move(purse(command, grant_id), revenue, captured)
            self.freed(command, grant_id, held - captured)
        return self.view(command, hold)

    def release(self, command: ReleaseHold) -> tuple[object, ...]:
        hold = self.things.get((command.book_id, command.hold_id))
        if hold is None:
            self.things[command.book_id, command.hold_id] = Thing("hold", wallet_of(command), None, "tombstone")
            return "released", 0, 0
        if hold.kind != "hold" or hold.wallet != wallet_of(command):
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        if hold.state in ("tombstone", "expired"):
            return "released", 0, 0
        if hold.state == "captured":
            raise No("HOLD_ALREADY_CAPTURED")
        born = [(g, n) for g, n in hold.parts if self.things[command.book_id, g].born_of == command.hold_id]
        if hold.state == "held":
            hold.state, hold.reversed_born = "released", command.reverse_born_held
            for grant_id, amount in hold.parts:
                self.holds.append((purse(command, grant_id), -amount))
                grant = self.things[command.book_id, grant_id]
                if command.reverse_born_held and (grant_id, amount) in born and grant.state != "undone":
                    grant.state, grant.revoked = "undone", ("revoked", amount, 0, 0)
                self.freed(command, grant_id, amount)
        elif hold.reversed_born != command.reverse_born_held:
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        reversed_minor = sum(n for _, n in born) if command.reverse_born_held else 0
        return "released", sum(n for _, n in hold.parts), reversed_minor

    def expire_hold(self, command: ExpireHold) -> tuple[object, ...]:
        hold = self.things.get((command.book_id, command.hold_id))
        is_due = hold is not None and hold.kind == "hold" and hold.wallet == wallet_of(command)
        if hold is None or not is_due or hold.state != "held" or hold.ends_at > self.now:
            return "expired", None
        hold.state = "expired"
        for grant_id, amount in hold.parts:
            self.holds.append((purse(command, grant_id), -amount))
            self.freed(command, grant_id, amount)
        return "expired", sum(amount for _, amount in hold.parts)

    def expire_grant(self, command: ExpireGrant) -> tuple[object, ...]:
        grant = self.things.get((command.book_id, command.grant_id))
        if grant is None or grant.kind != "grant" or grant.wallet != wallet_of(command):
            return "expired", None
        if grant.state != "live" or grant.swept or not self.is_over(command, command.grant_id):
            return "expired", None
        account = purse(command, command.grant_id)
        grant.swept, free = True, self.balance(account) - self.held(account)
        self.freed(command, command.grant_id, free)
        return "expired", free

    def expire_transfer(self, command: ExpireTransfer) -> tuple[object, ...]:
        place = (command.book_id, *command.target)
        thing = self.things.get(place[:2])
        if (
            thing is None
            or thing.kind != "transaction"
            or thing.wallet[1] != command.currency
            or command.target.position >= len(thing.made)
        ):
            raise No("TRANSFER_NOT_FOUND")
        _, debit, credit, amount = thing.made[command.target.position]
        has_ended = any(tuple(where) == place for *where, _, _ in self.ends)
        if has_ended or thing.expiries.get(command.target.position, FOR_EVER) > self.now:
            return "expired", None
        self.ends.append((*place, "release", amount))
        self.step("release", debit, credit, amount)
        return "expired", amount

    def refund(self, command: RefundCredits) -> tuple[object, ...]:
        fields = (wallet_of(command), command.hold_id, command.amount_minor, command.grace_days)
        known = self.things.get((command.book_id, command.refund_id))
        if known is not None:
            if known.kind != "refund" or known.fields != fields:
                raise No("REFUND_EXISTS_WITH_DIFFERENT_FIELD")
            return known.answer
        hold = self.things.get((command.book_id, command.hold_id))
        if hold is None:
            raise No("HOLD_NOT_FOUND")
        if hold.kind != "hold" or hold.wallet != wallet_of(command):
            raise No("HOLD_EXISTS_WITH_DIFFERENT_FIELD")
        if hold.state != "captured":
            raise No("HOLD_NOT_CAPTURED")
        if command.amount_minor > hold.captured - sum(hold.refunded.values()):
            raise No("REFUND_EXCEEDS_CAPTURE")
        left, parts = command.amount_minor, []
        for grant_id, captured, _ in reversed(self.shares(hold)):
            amount = min(left, captured - hold.refunded.get(grant_id, 0))
            if amount:
                left -= amount
                hold.refunded[grant_id] = hold.refunded.get(grant_id, 0) + amount
                parts.append((grant_id, amount, self.give_back(command, grant_id, amount)))
        answer = ("refunded", command.amount_minor, parts)
        self.things[command.book_id, command.refund_id] = Thing("refund", wallet_of(command), fields, answer=answer)
        return answer

    # Plain words -------------------------------------------------------------------------------------------------

    def system(self, command: AnyCommand, code: str) -> tuple[int, str, str]:
        if code.startswith("grant:"):
            raise No("ACCOUNT_RESERVED")
        account = (command.book_id, command.currency, code)
        if account in self.closed:
            raise No("ACCOUNT_CLOSED")
        self.floors.setdefault(account, None)
        return account

    def require_floor(self, debit: object, amount: int) -> None:
        floor = self.floors.get(debit)
        if floor is not None and self.balance(debit) - self.held(debit) - amount < floor:
            raise No("INSUFFICIENT_FUNDS")

    def move(self, debit: object, credit: object, amount: int) -> None:
        self.require_floor(debit, amount)
        if amount:
            self.closed -= {debit, credit}
        if self.balance(debit) - amount < -BOUND or self.balance(credit) + amount >= BOUND:
            raise No("AMOUNT_OUT_OF_RANGE")
        self.moves.append((debit, credit, amount))

    def give(
        self, command: GrantCredits | HoldCredits | RefundCredits, order: GrantOrder, hold_id: UUID | None
    ) -> None:
        if order.expires_at is not None and order.expires_at <= self.now:
            raise No("EXPIRE_TIME_PASSED")
        self.move(self.system(command, order.source_code), purse(command, order.grant_id), order.amount_minor)
        thing = Thing("grant", wallet_of(command), (wallet_of(command), order), order=order, born_of=hold_id)
        thing.answer = ("granted", order.grant_id, order.amount_minor, order.amount_minor, 0)
        thing.given_at = order.effective_at or self.now
        self.things[command.book_id, order.grant_id] = thing

    def freed(self, command: AnyCommand, grant_id: UUID, amount: int) -> None:
        """What becomes free in a grant that is over does not stay there."""
        grant = self.things[command.book_id, grant_id]
        assert grant.order is not None
        if amount and grant.state == "undone":
            source = (command.book_id, command.currency, grant.order.source_code)
            self.move(purse(command, grant_id), source, amount)
        elif amount and self.is_over(command, grant_id):
            self.move(purse(command, grant_id), self.breakage(command), amount)

    def give_back(self, command: RefundCredits, grant_id: UUID, amount: int) -> UUID | None:
        """Answers which grant has it now."""
        grant, revenue = self.things[command.book_id, grant_id], (command.book_id, command.currency, self.revenue)
        assert grant.order is not None
        if grant.state == "live" and self.is_over(command, grant_id):
            sibling = derived_id(command.refund_id, f"grant in place of {grant_id}")
            end = self.now + timedelta(days=command.grace_days)
            order = replace(
                grant.order,
                grant_id=sibling,
                amount_minor=amount,
                expires_at=end,
                effective_at=None,
                source_code=self.revenue,
            )
            self.give(command, order, None)
            return sibling
        self.move(revenue, purse(command, grant_id), amount)
        self.freed(command, grant_id, amount)
        return grant_id if grant.state == "live" else None

    def breakage(self, command: AnyCommand) -> tuple[int, str, str]:
        return command.book_id, command.currency, "breakage"

    def lost(self, command: AnyCommand, account: object) -> int:
        return sum(amount for of, to, amount in self.moves if of == account and to == self.breakage(command))

    def is_over(self, command: AnyCommand, grant_id: UUID) -> bool:
        order = self.things[command.book_id, grant_id].order
        return order is not None and order.expires_at is not None and order.expires_at <= self.now

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
        begin = self.things[command.book_id, grant_id].given_at
        return begin is not None and begin <= self.now and not self.is_over(command, grant_id)

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

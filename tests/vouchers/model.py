"""A second opinion on redemptions: every count is taken afresh from a plain list, every rule is one line.

It shares the words with the service (commands, campaigns) and none of its arithmetic, state or order of evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.vouchers.domain.campaigns import Campaign
from services.vouchers.domain.commands import (
    AnyCommand,
    ConfirmRedemptions,
    ExpireRedemptions,
    KeepRedemptions,
    OrderLine,
    RedeemVouchers,
    RedemptionReference,
    RestoreRedemptions,
    RollbackRedemptions,
)
from services.vouchers.domain.effects import BuyGetEffect, CreditGrantEffect, FreeItemEffect, ProductSelection
from services.vouchers.domain.vouchers import Voucher, VoucherReference
from tests.vouchers.cast import QUALIFICATIONS
from tests.vouchers.discount_model import expected_discount, most_repetitions

USED = ("reserved", "kept", "confirmed")
UNDONE = ("rolled_back", "expired", "restored", "tombstone")


class Refused(Exception):
    """With the reason as its only argument."""


@dataclass
class Entry:
    """A redemption, in plain words."""

    customer_id: UUID
    voucher_id: UUID | None
    state: str
    asked: tuple[Any, ...] = ()
    value: int = 0
    shares: list[int] = field(default_factory=list)
    is_credit: bool = False
    made_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def shown(self) -> tuple[object, ...]:
        """What answers are compared by."""
        return self.state, self.is_credit, self.value, *self.shares


class Model:
    """Campaigns and vouchers that do not change, and what became of redemptions."""

    def __init__(self, campaigns: Sequence[Campaign], vouchers: Mapping[VoucherReference, Voucher]) -> None:
        self.campaigns = {campaign.campaign_id: campaign for campaign in campaigns}
        self.vouchers = vouchers
        self.entries: dict[UUID, Entry] = {}

    def apply(self, command: AnyCommand, now: datetime) -> object:
        """The reason of a refusal, how many uses came back, or the redemptions as they are shown."""
        before = dict(self.entries)
        try:
            return self._apply(command, now)
        except Refused as refusal:
            self.entries = before
            return refusal.args[0]

    def used(self, campaign_id: UUID, **wanted: object) -> list[Entry]:
        """The counted redemptions of a campaign that have these values."""
        ids = {voucher.voucher_id for voucher in self.vouchers.values() if voucher.campaign_id == campaign_id}
        return [
            entry
            for entry in self.entries.values()
            if entry.voucher_id in ids and entry.state in USED
            if all(getattr(entry, name) == value for name, value in wanted.items())
        ]

    def _apply(self, command: AnyCommand, now: datetime) -> object:
        if isinstance(command, ExpireRedemptions):
            return sum([self._expire(reference, now) for reference in command.redemptions])
        ids = [reference.redemption_id for reference in command.redemptions]
        if len(set(ids)) < len(ids):
            raise Refused("VOUCHER_REPEATED")
        match command:
            case RedeemVouchers():
                return self._redeem(command, now)
            case RollbackRedemptions():
                return sum([self._roll_back(command.customer_id, reference) for reference in command.redemptions])
            case KeepRedemptions():
                for entry in self._live(command.customer_id, command.redemptions):
                    entry.state = "kept" if entry.is_credit and entry.state == "reserved" else entry.state
            case ConfirmRedemptions():
                for entry in self._live(command.customer_id, command.redemptions):
                    entry.state = "confirmed" if entry.state in ("reserved", "kept") else entry.state
            case RestoreRedemptions():
                for reference in command.redemptions:
                    self._restore(command, reference)
        return [self.entries[redemption_id].shown for redemption_id in ids]

    def _change(self, redemption_id: UUID, customer_id: UUID, voucher: VoucherReference) -> Entry:
        """A copy that may be changed, so that a refusal can put the old one back."""
        old = self.entries.get(redemption_id)
        if old is None:
            raise Refused("REDEMPTION_NOT_FOUND")
        named = self.vouchers.get(voucher)
        if old.customer_id != customer_id or old.voucher_id not in (None, named and named.voucher_id):
            raise Refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD")
        self.entries[redemption_id] = Entry(**vars(old))
        return self.entries[redemption_id]

    def _live(self, customer_id: UUID, references: Sequence[RedemptionReference]) -> list[Entry]:
        entries = []
        for redemption_id, voucher in references:
            entry = self._change(redemption_id, customer_id, voucher)
            if entry.state in UNDONE:
                raise Refused("REDEMPTION_ALREADY_UNDONE")
            entries.append(entry)
        return entries

    def _expire(self, reference: RedemptionReference, now: datetime) -> int:
        entry, named = self.entries.get(reference.redemption_id), self.vouchers.get(reference.voucher)
        if entry is None or entry.state != "reserved" or entry.expires_at is None or entry.expires_at > now:
            return 0
        if named is None or entry.voucher_id != named.voucher_id:
            return 0
        self.entries[reference.redemption_id] = Entry(**{**vars(entry), "state": "expired"})
        return 1

    def _roll_back(self, customer_id: UUID, reference: RedemptionReference) -> int:
        if reference.redemption_id not in self.entries:
            voucher = self.vouchers.get(reference.voucher)
            self.entries[reference.redemption_id] = Entry(customer_id, voucher and voucher.voucher_id, "tombstone")
            return 0
        entry = self._change(reference.redemption_id, customer_id, reference.voucher)
        if entry.state in ("kept", "confirmed"):
            raise Refused("REDEMPTION_KEPT" if entry.state == "kept" else "REDEMPTION_ALREADY_CONFIRMED")
        was_reserved = entry.state == "reserved"
        entry.state = "rolled_back" if was_reserved else entry.state
        return int(was_reserved)

    def _restore(self, command: RestoreRedemptions, reference: RedemptionReference) -> None:
        entry = self._change(reference.redemption_id, command.customer_id, reference.voucher)
        if entry.state in ("reserved", "kept"):
            raise Refused("REDEMPTION_NOT_CONFIRMED")
        rules = (
            self.campaigns[self.vouchers[reference.voucher].campaign_id].rules if entry.state == "confirmed" else None
        )
        if rules is None or entry.is_credit:
            return
        rule = {"refund": rules.on_refund, "cancellation": rules.on_cancel, "decision": "restore"}[command.cause]
        entry.state = "restored" if rule == "restore" else entry.state

    def _redeem(self, command: RedeemVouchers, now: datetime) -> object:
        asked = (command.order_id, command.basket, [reference.redemption_id for reference in command.redemptions])
        known = [reference for reference in command.redemptions if reference.redemption_id in self.entries]
        for reference in known:
            entry = self._change(reference.redemption_id, command.customer_id, reference.voucher)
            if entry.state != "tombstone" and entry.asked != asked:
                raise Refused("REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD")
            if entry.state in UNDONE:
                raise Refused("REDEMPTION_ALREADY_UNDONE")
        if known:
            first = [Entry(**vars(self.entries[reference.redemption_id])) for reference in known]
            for entry in first:
                entry.state = "reserved" if entry.state in USED else entry.state
            return [entry.shown for entry in first]
        made = self._stack(command, now)
        for entry, reference in zip(made, command.redemptions, strict=True):
            entry.asked = asked
            self.entries[reference.redemption_id] = entry
        return [entry.shown for entry in made]

    def _stack(self, command: RedeemVouchers, now: datetime) -> list[Entry]:
        """One entry per voucher, in the order asked; used by priority."""
        left = [line.amount_minor for line in command.basket.lines]
        vouchers = [self.vouchers.get(reference.voucher) for reference in command.redemptions]
        priorities = [0 if one is None else self.campaigns[one.campaign_id].rules.stacking_priority for one in vouchers]
        made: dict[int, Entry] = {}
        for _, place in sorted((priority, place) for place, priority in enumerate(priorities)):
            voucher = vouchers[place]
            if voucher is None:
                raise Refused("VOUCHER_NOT_FOUND")
            if voucher in [vouchers[n] for n in made]:
                raise Refused("VOUCHER_REPEATED")
            before = [(other, made[n]) for n, other in enumerate(vouchers) if other and n in made]
            before = [(other, entry) for other, entry in before if entry.state == "reserved"]
            made[place] = entry = self._one(command, voucher, before, left, now)
            if entry.shares:
                left = [amount - share for amount, share in zip(left, entry.shares, strict=True)]
        return [made[place] for place in range(len(vouchers))]

    def _one(
        self,
        command: RedeemVouchers,
        voucher: Voucher,
        before: Sequence[tuple[Voucher, Entry]],
        left: Sequence[int],
        now: datetime,
    ) -> Entry:
        campaign, customer_id, basket = self.campaigns[voucher.campaign_id], command.customer_id, command.basket
        rules = campaign.rules
        own = self.used(campaign.campaign_id, customer_id=customer_id)
        made = Entry(customer_id, voucher.voucher_id, "reserved", made_at=now, expires_at=command.expires_at)
        if any(entry.voucher_id == voucher.voucher_id and entry.state == "kept" for entry in own):
            made.state = "in_wallet"
            return made
        in_stack = [entry for other, entry in before if other.campaign_id == campaign.campaign_id]
        self._check_order(command, voucher, campaign, now)
        if before and "exclusive" in (
            rules.stacking,
            *(self.campaigns[other.campaign_id].rules.stacking for other, _ in before),
        ):
            raise Refused("NOT_COMBINABLE")
        self._check_uses(voucher, campaign, own, in_stack, now)
        roles = [_role(campaign, line) for line in basket.lines]
        lines = [(amount, line.quantity, role) for amount, line, role in zip(left, basket.lines, roles, strict=True)]
        _fill(made, campaign, lines)
        spent = sum(entry.value for entry in [*self.used(campaign.campaign_id), *in_stack])
        if rules.budget_minor is not None and spent + made.value > rules.budget_minor:
            raise Refused(_or_in_progress("BUDGET_EXHAUSTED", own))
        return made

    def _check_order(self, command: RedeemVouchers, voucher: Voucher, campaign: Campaign, now: datetime) -> None:
        rules, basket = campaign.rules, command.basket
        customer_id, facts = command.customer_id, basket.facts
        checks = {
            "VOUCHER_OF_OTHER_CUSTOMER": voucher.customer_id not in (None, customer_id),
            "CAMPAIGN_IS_DRAFT": campaign.state == "draft",
            "CAMPAIGN_PAUSED": campaign.state == "paused",
            "CAMPAIGN_NOT_STARTED": campaign.state != "ended" and rules.starts_at is not None and now < rules.starts_at,
            "CAMPAIGN_ENDED": campaign.state == "ended" or (rules.ends_at is not None and now >= rules.ends_at),
            "CURRENCY_MISMATCH": basket.currency != rules.effect.currency,
            "ORDER_BELOW_MINIMUM": sum(line.amount_minor for line in basket.lines) < rules.order_minimum_minor,
            "CUSTOMER_NOT_ELIGIBLE": customer_id in rules.excluded_customer_ids
            or (bool(rules.included_customer_ids) and customer_id not in rules.included_customer_ids),
            "CUSTOMER_FACTS_MISSING": rules.first_order_only and facts is None,
            "NOT_FIRST_ORDER": rules.first_order_only and facts is not None and facts.orders_placed > 0,
            "NO_ELIGIBLE_PRODUCT": not any(_eligible(campaign, line) for line in basket.lines),
            "QUALIFICATION_FAILED": bool(rules.qualification) and not QUALIFICATIONS[rules.qualification](basket),
        }
        for reason, applies in checks.items():
            if applies:
                raise Refused(reason)

    def _check_uses(
        self, voucher: Voucher, campaign: Campaign, own: Sequence[Entry], in_stack: Sequence[Entry], now: datetime
    ) -> None:
        rules = campaign.rules
        mine = [*own, *in_stack]
        if len(mine) >= rules.uses_per_customer_max:
            raise Refused(_or_in_progress("CUSTOMER_LIMIT_REACHED", own))
        if rules.uses_per_period_max is not None and rules.period_days is not None:
            since = now - timedelta(hours=24 * rules.period_days)
            if sum(entry.made_at is not None and entry.made_at > since for entry in mine) >= rules.uses_per_period_max:
                raise Refused(_or_in_progress("PERIOD_LIMIT_REACHED", own))
        of_code = self.used(campaign.campaign_id, voucher_id=voucher.voucher_id)
        if voucher.uses_max is not None and len(of_code) >= voucher.uses_max:
            own_of_code = [entry for entry in own if entry.voucher_id == voucher.voucher_id]
            raise Refused(_or_in_progress("VOUCHER_EXHAUSTED", own_of_code))
        if rules.uses_max is not None and len(self.used(campaign.campaign_id)) + len(in_stack) >= rules.uses_max:
            raise Refused(_or_in_progress("CAMPAIGN_EXHAUSTED", own))


def _or_in_progress(reason: str, own: Sequence[Entry]) -> str:
    return "ROLLBACK_IN_PROGRESS" if any(entry.state == "reserved" for entry in own) else reason


def _chosen(products: ProductSelection, line: OrderLine) -> bool:
    return line.product_id in products.product_ids or bool(set(line.categories) & products.categories)


def _eligible(campaign: Campaign, line: OrderLine) -> bool:
    included, excluded = campaign.rules.included_products, campaign.rules.excluded_products
    return (included == ProductSelection() or _chosen(included, line)) and not _chosen(excluded, line)


def _role(campaign: Campaign, line: OrderLine) -> int:
    effect = campaign.rules.effect
    if not _eligible(campaign, line):
        return 0
    if isinstance(effect, FreeItemEffect):
        return int(_chosen(effect.products, line))
    if isinstance(effect, BuyGetEffect):
        everything = ProductSelection()
        bought = effect.buy_products == everything or _chosen(effect.buy_products, line)
        got = bought if effect.get_products == everything else _chosen(effect.get_products, line)
        return 2 * bought + got
    return 1


def _fill(made: Entry, campaign: Campaign, lines: Sequence[tuple[int, int, int]]) -> None:
    effect = campaign.rules.effect
    if isinstance(effect, CreditGrantEffect):
        made.is_credit, made.value = True, effect.amount_minor
        return
    parameters = effect.parameters
    pieces = sum(quantity for _, quantity, role in lines if role & 1)
    is_short = {
        "cheapest_free": lambda: pieces < parameters["pieces_min"],
        "buy_get": lambda: most_repetitions(parameters, lines) == 0,
    }
    if is_short.get(effect.kind, lambda: False)():
        raise Refused("PIECES_MISSING")
    if pieces == 0:
        raise Refused("NO_ELIGIBLE_PRODUCT")
    made.shares = expected_discount(effect.kind, parameters, lines)
    made.value = sum(made.shares)
    if made.value == 0:
        raise Refused("NOTHING_TO_DISCOUNT")

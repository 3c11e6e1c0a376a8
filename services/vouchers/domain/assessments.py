"""What the vouchers of an order would do, or why they would not. Validation and redemption ask the same functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.vouchers.domain.commands import Basket
from services.vouchers.domain.kinds import Stacking
from services.vouchers.domain.offers import Assessment, Offer
from services.vouchers.domain.redemptions import Benefit
from services.vouchers.domain.rules import RULES
from services.vouchers.domain.state import State
from services.vouchers.domain.vouchers import Voucher, VoucherReference, unknown_voucher
from services.vouchers.domain.worth import worth_of
from services.vouchers.errors.redemptions import VoucherRepeated


def assess_stack(
    references: Sequence[VoucherReference], basket: Basket, state: State, now: datetime
) -> Iterator[tuple[int, Assessment]]:
    """One assessment per voucher with its place in the request, in the order of use.

    Those with a lower priority are used first, of equal ones those asked first; codes that nobody knows have the
    lowest. Each is computed on what those before it leave; a refused one leaves everything.
    """
    stack = _Stack([line.amount_minor for line in basket.lines])
    vouchers = [state.find_voucher(reference) for reference in references]
    for place in sorted(range(len(references)), key=lambda place: _priority(vouchers[place], state)):
        voucher = vouchers[place]
        if voucher is None:
            yield place, unknown_voucher(references[place])
        elif voucher.voucher_id in stack.seen:
            yield place, VoucherRepeated(repeated=voucher.voucher_id)
        else:
            yield place, _assess_next(voucher, basket, stack, state, now)


def assess(offer: Offer) -> Assessment:
    """The answer of the first rule that speaks, else what the voucher is worth."""
    for rule in RULES:
        answer = rule(offer)
        if answer is not None:
            return answer
    return worth_of(offer)


@dataclass(slots=True)
class _Stack:
    """What the vouchers before the next one leave of each line, and what they use up."""

    left: list[int]
    seen: set[UUID] = field(default_factory=set)
    used: list[UUID] = field(default_factory=list)
    exclusive: UUID | None = None
    uses: dict[UUID, int] = field(default_factory=dict)
    spent_minor: dict[UUID, int] = field(default_factory=dict)

    def use(self, offer: Offer, benefit: Benefit) -> None:
        """Takes a voucher's discount off the lines and counts it."""
        campaign_id, voucher_id = offer.campaign.campaign_id, offer.voucher.voucher_id
        self.left = [line.amount_minor - line.discount_minor for line in benefit.lines] or self.left
        self.used.append(voucher_id)
        if offer.campaign.rules.stacking is Stacking.EXCLUSIVE:
            self.exclusive = voucher_id
        self.uses[campaign_id] = self.uses.get(campaign_id, 0) + 1
        self.spent_minor[campaign_id] = self.spent_minor.get(campaign_id, 0) + benefit.value_minor


def _priority(voucher: Voucher | None, state: State) -> int:
    return 0 if voucher is None else state.campaigns[voucher.campaign_id].rules.stacking_priority


def _assess_next(voucher: Voucher, basket: Basket, stack: _Stack, state: State, now: datetime) -> Assessment:
    campaign_id = voucher.campaign_id
    offer = Offer(
        voucher=voucher,
        campaign=state.campaigns[campaign_id],
        basket=basket,
        left=stack.left,
        customer_uses=state.uses_of(campaign_id, basket.customer_id),
        stacked_uses=stack.uses.get(campaign_id, 0),
        stacked_minor=stack.spent_minor.get(campaign_id, 0),
        before=stack.used,
        exclusive_before=stack.exclusive,
        qualify=state.qualify,
        now=now,
    )
    assessment = assess(offer)
    stack.seen.add(voucher.voucher_id)
    if isinstance(assessment, Benefit):
        stack.use(offer, assessment)
    return assessment

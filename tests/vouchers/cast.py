"""A small world in which commands meet: few customers, orders and ids, and limits so low that they are reached.

Histories are drawn in numbers; a Cast gives the numbers ids and moments, so that one history can be played by the
rules alone, by the model and by a server.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from services.vouchers.domain.campaigns import Campaign, CampaignRules
from services.vouchers.domain.commands import (
    AnyCommand,
    Basket,
    ConfirmRedemptions,
    CustomerFacts,
    ExpireRedemptions,
    KeepRedemptions,
    OrderLine,
    RedeemVouchers,
    RedemptionReference,
    RestoreRedemptions,
    RollbackRedemptions,
)
from services.vouchers.domain.effects import (
    AmountOffEffect,
    BuyGetEffect,
    CheapestFreeEffect,
    CreditGrantEffect,
    Effect,
    FreeItemEffect,
    PercentOffEffect,
    ProductSelection,
)
from services.vouchers.domain.kinds import CampaignState, RestoreCause, Stacking, UseRule
from services.vouchers.domain.state import State
from services.vouchers.domain.vouchers import Voucher, VoucherReference
from services.vouchers.qualification import qualifies

CUSTOMERS = 3
# What a qualification says, in Python: the model does not evaluate the expression. None: an error.
QUALIFICATIONS: dict[str, Callable[[Basket], bool | None]] = {
    "order.subtotal_minor > 1000 && order.lines.exists(line, 'walk' in line.categories)": lambda basket: (
        basket.subtotal_minor > 1_000 and any("walk" in line.categories for line in basket.lines)
    ),
    "customer.orders_placed < 3": lambda basket: basket.facts and basket.facts.orders_placed < 3,
}
ENOUGH_DATA, NEW_CUSTOMER = QUALIFICATIONS


# Customer, order and vouchers of the redemptions that are asked for together; the last voucher does not exist.
STACKS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    *((0, 0, (0,)), (0, 1, (0,)), (1, 0, (0,)), (1, 3, (0,)), (0, 0, (1, 3)), (0, 3, (1,)), (2, 3, (1,))),
    *((2, 0, (1,)), (1, 3, (3, 4)), (1, 0, (4,)), (2, 3, (3,)), (0, 3, (4, 2)), (0, 0, (5,)), (0, 3, (5,))),
    *((0, 0, (5, 3)), (1, 0, (6,)), (1, 1, (6,)), (0, 1, (6, 0)), (2, 1, (7,)), (0, 3, (7,)), (0, 1, (8,))),
    *((1, 1, (8,)), (0, 3, (9, 3, 1)), (1, 3, (9,)), (2, 2, (10,)), (1, 2, (10,)), (0, 0, (11,)), (1, 1, (2, 12))),
    *((1, 4, (6,)), (0, 4, (8,)), (0, 4, (7,)), (2, 3, (6, 3))),
)


@dataclass(frozen=True)
class Said:
    """One command in numbers: a stack, which time it is asked for, and what is occasionally wrong with it."""

    kind: type
    stack: int
    attempt: int
    ids_max: int
    customer_twist: int
    order_twist: int
    voucher_twist: int
    expiry: int
    cause: RestoreCause


_MOSTLY_NONE = [0] * 19 + [1]
_twists = st.sampled_from(_MOSTLY_NONE)
_kinds = st.sampled_from(
    [
        *(RedeemVouchers, RedeemVouchers, RedeemVouchers, RedeemVouchers, KeepRedemptions, ConfirmRedemptions),
        *(ConfirmRedemptions, RollbackRedemptions, RestoreRedemptions, ExpireRedemptions),
    ]
)


def _commands(stacks: Sequence[int]) -> st.SearchStrategy[list[Said]]:
    """Of few stacks, so that they meet."""
    said = st.builds(
        Said,
        _kinds,
        st.sampled_from(stacks),
        st.integers(0, 2),
        st.sampled_from([9, 9, 9, 1]),
        _twists,
        _twists,
        _twists,
        st.integers(0, 2),
        st.sampled_from(RestoreCause),
    )
    return st.lists(said, max_size=40)


histories = st.lists(st.integers(0, len(STACKS) - 1), min_size=1, max_size=6).flatmap(_commands)


def long_history(dice: random.Random, length: int) -> list[Said]:
    """Of a few stacks, longer than what is drawn to be made smaller again, so that limits are reached."""
    stacks = [dice.randrange(len(STACKS)) for _ in range(dice.randint(2, 8))]
    kinds = [*[RedeemVouchers] * 6, KeepRedemptions, *[ConfirmRedemptions] * 2, RollbackRedemptions]
    kinds += [RestoreRedemptions, ExpireRedemptions]
    return [
        Said(
            kind=dice.choice(kinds),
            stack=dice.choice(stacks),
            attempt=dice.randrange(4),
            ids_max=dice.choice([9] * 9 + [1]),
            customer_twist=dice.choice(_MOSTLY_NONE),
            order_twist=dice.choice(_MOSTLY_NONE),
            voucher_twist=dice.choice(_MOSTLY_NONE),
            expiry=dice.randrange(3),
            cause=dice.choice(list(RestoreCause)),
        )
        for _ in range(length)
    ]


class Cast:
    """Everything by its number; `base` is the moment at which the history begins."""

    def __init__(self, base: datetime, name: Callable[[int], UUID] = lambda number: UUID(int=number)) -> None:
        self.base = base
        self.name = name
        self.customers = [name(number) for number in range(1, CUSTOMERS + 1)]
        self.products = [name(number) for number in range(11, 14)]
        self.campaigns = [
            Campaign(campaign_id=name(100 + number), rules=rules, state=state, created_at=base, ended_at=ended_at)
            for number, (rules, state, ended_at) in enumerate(self._campaigns())
        ]
        self.vouchers = {
            VoucherReference(voucher.code_normal, None): voucher for voucher in map(self._voucher, range(len(_HOMES)))
        }

    def state(self) -> State:
        """The world before anything happened."""
        return State(
            voucher_ids={reference: voucher.voucher_id for reference, voucher in self.vouchers.items()},
            vouchers={voucher.voucher_id: voucher for voucher in self.vouchers.values()},
            campaigns={campaign.campaign_id: campaign for campaign in self.campaigns},
            qualify=qualifies,
        )

    def command(self, said: Said) -> AnyCommand:
        """The command with its ids."""
        customer, order, vouchers = STACKS[said.stack]
        redemptions = tuple(
            self._reference(1_000 * (1 + said.attempt) + 10 * said.stack + number, voucher + said.voucher_twist)
            for number, voucher in enumerate(vouchers[: said.ids_max])
        )
        customer_id = self.customers[(customer + said.customer_twist) % CUSTOMERS]
        if said.kind is ExpireRedemptions:
            return ExpireRedemptions(redemptions=redemptions)
        if said.kind is RestoreRedemptions:
            return RestoreRedemptions(customer_id=customer_id, redemptions=redemptions, cause=said.cause)
        if said.kind is not RedeemVouchers:
            command: AnyCommand = said.kind(customer_id=customer_id, redemptions=redemptions)
            return command
        return RedeemVouchers(
            customer_id=customer_id,
            redemptions=redemptions,
            order_id=self.name(10_000 * (1 + said.attempt) + said.stack),
            basket=self._basket(customer_id, (order + said.order_twist) % 5),
            expires_at=self.base + (timedelta(days=-1), timedelta(days=1), timedelta(days=30))[said.expiry],
        )

    def _reference(self, number: int, voucher: int) -> RedemptionReference:
        references = [*self.vouchers, VoucherReference("UNKNOWN", None)]
        return RedemptionReference(self.name(number), references[voucher % len(references)])

    def _basket(self, customer_id: UUID, order: int) -> Basket:
        walk, drink, hat = self.products
        lines: Sequence[tuple[UUID, int, int, tuple[str, ...]]] = (
            ((walk, 3, 1_000, ("walk",)), (drink, 1, 500, ())),
            ((walk, 1, 400, ("walk",)), (hat, 2, 301, ("thing",)), (drink, 4, 90, ("thing",))),
            ((drink, 5, 1_007, ()),),
            ((hat, 1, 0, ("thing",)), (walk, 2, 30_000, ("walk",))),
            ((drink, 1, 600, ()),),
        )[order]
        facts = (None, CustomerFacts(0), CustomerFacts(2, ("friend",)), CustomerFacts(5), CustomerFacts(0))[order]
        return Basket(
            customer_id=customer_id,
            currency="USD" if order == 2 else "OMR",
            lines=tuple(OrderLine(number, *line) for number, line in enumerate(lines, start=1)),
            facts=facts,
        )

    def _voucher(self, number: int) -> Voucher:
        home, uses_max, owner = _HOMES[number]
        return Voucher(
            voucher_id=self.name(200 + number),
            campaign_id=self.campaigns[home].campaign_id,
            code=f"CAST-{self.name(300 + number).hex[-12:].upper()}-{number}",
            uses_max=uses_max,
            customer_id=None if owner is None else self.customers[owner],
            created_at=self.base,
            uses=0,
        )

    def _campaigns(self) -> list[tuple[CampaignRules, CampaignState, datetime | None]]:
        _, drink, hat = self.products
        active = (CampaignState.ACTIVE, None)
        return [
            (_rules(CreditGrantEffect(10_000, "OMR", 1, 30)), *active),
            (
                _rules(CreditGrantEffect(9_000, "OMR", 1, 0), uses_max=4, uses_per_customer_max=3, budget_minor=20_000),
                *active,
            ),
            (
                _rules(
                    AmountOffEffect(700, "OMR"),
                    uses_max=3,
                    uses_per_customer_max=2,
                    stacking_priority=5,
                    on_refund=UseRule.RESTORE,
                    excluded_products=ProductSelection(frozenset({drink})),
                ),
                *active,
            ),
            (
                _rules(
                    PercentOffEffect(1_500, "OMR", 200),
                    uses_per_customer_max=9,
                    uses_per_period_max=1,
                    period_days=3,
                    stacking=Stacking.EXCLUSIVE,
                ),
                *active,
            ),
            (
                _rules(
                    BuyGetEffect(ProductSelection(), 2, ProductSelection(frozenset({drink, hat})), 1, 10_000, 2, "OMR"),
                    uses_per_customer_max=4,
                    budget_minor=900,
                    on_cancel=UseRule.KEEP,
                ),
                *active,
            ),
            (
                _rules(CheapestFreeEffect(1, 2, "OMR"), first_order_only=True, uses_per_customer_max=3),
                *active,
            ),
            (
                _rules(
                    FreeItemEffect(ProductSelection(frozenset({hat}), frozenset({"thing"})), 2, "OMR"),
                    included_customer_ids=frozenset(self.customers[:2]),
                    excluded_customer_ids=frozenset(self.customers[1:2]),
                    order_minimum_minor=700,
                ),
                *active,
            ),
            (
                _rules(PercentOffEffect(10_000, "OMR"), qualification=ENOUGH_DATA, stacking_priority=9),
                *active,
            ),
            (
                _rules(
                    PercentOffEffect(5_000, "USD"),
                    qualification=NEW_CUSTOMER,
                    uses_per_customer_max=2,
                    included_products=ProductSelection(frozenset({drink}), frozenset({"walk"})),
                ),
                *active,
            ),
            (_rules(AmountOffEffect(5, "OMR")), CampaignState.PAUSED, None),
        ]


# Campaign, uses of the code, and whose it is.
_HOMES: tuple[tuple[int, int | None, int | None], ...] = (
    *((0, 2, None), (1, None, None), (0, 1, None), (2, None, None), (2, 2, None), (3, None, None), (4, None, None)),
    *((5, None, None), (6, 3, None), (7, None, 0), (8, None, None), (9, None, None)),
)


def _rules(effect: Effect, **limits: object) -> CampaignRules:
    return CampaignRules(name="Cast", effect=effect, **limits)  # type: ignore[arg-type]

"""Which rule speaks first when several would: the order that the proto promises, pair by pair."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from services.runtime.errors import ServiceError
from services.vouchers.domain.assessments import assess_stack
from services.vouchers.domain.campaigns import Campaign, CampaignRules, Usage
from services.vouchers.domain.commands import Basket, CustomerFacts, OrderLine
from services.vouchers.domain.effects import BuyGetEffect, CreditGrantEffect, Effect, PercentOffEffect, ProductSelection
from services.vouchers.domain.kinds import CampaignState, RedemptionState, Stacking
from services.vouchers.domain.offers import InWallet
from services.vouchers.domain.redemptions import Benefit
from services.vouchers.domain.state import CustomerUses, State
from services.vouchers.domain.vouchers import Voucher, VoucherReference
from tests.contracts.checkout_tree import ROOT

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CUSTOMER, PRODUCT, OTHER_PRODUCT = UUID(int=1), UUID(int=2), UUID(int=3)
CAMPAIGN, FIRST_CAMPAIGN, VOUCHER, FIRST_VOUCHER = (UUID(int=number) for number in range(11, 15))
TENTH, NEWCOMER = PercentOffEffect(1_000, "OMR"), CustomerFacts(0)
NOTHING_LEFT, TOO_FEW = 5, BuyGetEffect(ProductSelection(), 5, ProductSelection(), 1, 10_000, 0, "OMR")


@dataclass
class Scene:
    """A voucher that would be accepted, until it is spoilt in one way or several."""

    effect: Effect = TENTH
    rules: dict[str, Any] = field(default_factory=lambda: {"uses_per_customer_max": 9})
    campaign: dict[str, Any] = field(default_factory=dict)
    voucher: dict[str, Any] = field(default_factory=lambda: {"uses": 0, "uses_max": None})
    facts: CustomerFacts | None = NEWCOMER
    currency: str = "OMR"
    amount_minor: int = 1_000
    uses: int = 0
    uses_state: RedemptionState = RedemptionState.CONFIRMED
    first_stacking: Stacking = Stacking.COMBINABLE
    is_asked_twice: bool = False

    def answer(self) -> str:
        """The reason that the voucher is refused with, or what it is accepted as."""
        state = State(
            voucher_ids={reference(FIRST_VOUCHER): FIRST_VOUCHER, reference(VOUCHER): VOUCHER},
            vouchers={FIRST_VOUCHER: voucher(FIRST_VOUCHER, FIRST_CAMPAIGN), VOUCHER: self._voucher()},
            campaigns={FIRST_CAMPAIGN: self._first_campaign(), CAMPAIGN: self._campaign()},
            customer_uses={(CAMPAIGN, CUSTOMER): self._uses()},
            qualify=lambda text, _: text == "true",
        )
        lines = (OrderLine(1, PRODUCT, 1, self.amount_minor),)
        basket = Basket(customer_id=CUSTOMER, currency=self.currency, lines=lines, facts=self.facts)
        references = [reference(FIRST_VOUCHER), reference(VOUCHER)] + [reference(VOUCHER)] * self.is_asked_twice
        *_, (_, last) = assess_stack(references, basket, state, NOW)
        match last:
            case ServiceError():
                return last.reason
            case InWallet():
                return "in wallet"
            case Benefit():
                return "accepted"

    def _campaign(self) -> Campaign:
        rules = CampaignRules(name="Scene", effect=self.effect, **self.rules)
        return Campaign(campaign_id=CAMPAIGN, rules=rules, created_at=NOW, **self.campaign)

    def _first_campaign(self) -> Campaign:
        rules = CampaignRules(
            name="First", effect=CreditGrantEffect(1, self.currency, 0, 0), stacking=self.first_stacking
        )
        return Campaign(campaign_id=FIRST_CAMPAIGN, rules=rules, created_at=NOW)

    def _voucher(self) -> Voucher:
        return replace(voucher(VOUCHER, CAMPAIGN), **self.voucher)

    def _uses(self) -> CustomerUses:
        return CustomerUses(
            Counter({(VOUCHER, self.uses_state): self.uses}), Counter({NOW - DAY / 2: self.uses} if self.uses else {})
        )


def voucher(voucher_id: UUID, campaign_id: UUID) -> Voucher:
    return Voucher(
        voucher_id=voucher_id, campaign_id=campaign_id, code=str(voucher_id), uses_max=None, uses=0, created_at=NOW
    )


def reference(voucher_id: UUID) -> VoucherReference:
    return VoucherReference(None, voucher_id)


def spoil_period(scene: Scene) -> None:
    scene.uses = max(scene.uses, 1)
    scene.rules |= {"uses_per_period_max": 1, "period_days": 1}


def spoil_customer_limit(scene: Scene) -> None:
    scene.uses = max(scene.uses, 1)
    scene.rules["uses_per_customer_max"] = 1


def spoil_pieces(scene: Scene) -> None:
    scene.effect = replace(TOO_FEW, currency=scene.effect.currency)


def spoil_currency(scene: Scene) -> None:
    scene.effect = replace(scene.effect, currency="USD")


# By reason, in the order of precedence.
SPOILS: dict[str, Callable[[Scene], object]] = {
    "VOUCHER_REPEATED": lambda scene: setattr(scene, "is_asked_twice", True),
    "VOUCHER_DEACTIVATED": lambda scene: scene.voucher.update(deactivated_at=NOW - DAY),
    "VOUCHER_EXPIRED": lambda scene: scene.voucher.update(expires_at=NOW - DAY),
    "VOUCHER_OF_OTHER_CUSTOMER": lambda scene: scene.voucher.update(customer_id=UUID(int=99)),
    "CAMPAIGN_IS_DRAFT": lambda scene: scene.campaign.update(state=CampaignState.DRAFT),
    "CAMPAIGN_PAUSED": lambda scene: scene.campaign.update(state=CampaignState.PAUSED),
    "CAMPAIGN_NOT_STARTED": lambda scene: scene.rules.update(starts_at=NOW + DAY),
    "CAMPAIGN_ENDED": lambda scene: scene.rules.update(ends_at=NOW),
    "CURRENCY_MISMATCH": spoil_currency,
    "ORDER_BELOW_MINIMUM": lambda scene: scene.rules.update(order_minimum_minor=10_000),
    "CUSTOMER_NOT_ELIGIBLE": lambda scene: scene.rules.update(excluded_customer_ids=frozenset({CUSTOMER})),
    "CUSTOMER_FACTS_MISSING": lambda scene: (scene.rules.update(first_order_only=True), setattr(scene, "facts", None)),
    "NOT_FIRST_ORDER": lambda scene: (
        scene.rules.update(first_order_only=True),
        setattr(scene, "facts", CustomerFacts(1)),
    ),
    "NO_ELIGIBLE_PRODUCT": lambda scene: scene.rules.update(
        included_products=ProductSelection(frozenset({OTHER_PRODUCT}))
    ),
    "QUALIFICATION_FAILED": lambda scene: scene.rules.update(qualification="false"),
    "NOT_COMBINABLE": lambda scene: setattr(scene, "first_stacking", Stacking.EXCLUSIVE),
    "CUSTOMER_LIMIT_REACHED": spoil_customer_limit,
    "PERIOD_LIMIT_REACHED": spoil_period,
    "VOUCHER_EXHAUSTED": lambda scene: scene.voucher.update(uses=3, uses_max=3),
    "CAMPAIGN_EXHAUSTED": lambda scene: (
        scene.rules.update(uses_max=2),
        scene.campaign.update(usage=Usage(confirmed=2, spent_minor=4)),
    ),
    "PIECES_MISSING": spoil_pieces,
    "NOTHING_TO_DISCOUNT": lambda scene: setattr(scene, "amount_minor", NOTHING_LEFT),
    "BUDGET_EXHAUSTED": lambda scene: (
        scene.rules.update(budget_minor=4),
        scene.campaign.update(usage=Usage(confirmed=2, spent_minor=4)),
    ),
}
# Both at once is impossible: one campaign has one state, one window and one effect, one request has facts or not.
IMPOSSIBLE = {
    ("CAMPAIGN_IS_DRAFT", "CAMPAIGN_PAUSED"),
    ("CAMPAIGN_NOT_STARTED", "CAMPAIGN_ENDED"),
    ("CUSTOMER_FACTS_MISSING", "NOT_FIRST_ORDER"),
}


def test_precedence_in_the_proto_is_the_one_that_is_tested() -> None:
    text = (ROOT / "protos/quittance/vouchers/v1/vouchers.proto").read_text()
    listed = re.search(r"in their order of precedence:(.*?)A limit that", text, re.DOTALL)
    assert listed is not None
    reasons = re.findall(r"\b[A-Z]+_[A-Z_]+\b", listed[1])
    assert [reason for reason in reasons if reason not in ("VOUCHER_NOT_FOUND", "CODE_MISTYPED")] == list(SPOILS)


def test_voucher_that_nothing_is_wrong_with_is_accepted() -> None:
    assert Scene().answer() == "accepted"


@pytest.mark.parametrize("reason", SPOILS)
def test_one_rule_that_says_no_is_the_reason(reason: str) -> None:
    """V7."""
    scene = Scene()
    SPOILS[reason](scene)
    assert scene.answer() == reason


@pytest.mark.parametrize(("first", "second"), [pair for pair in combinations(SPOILS, 2) if pair not in IMPOSSIBLE])
def test_of_two_rules_that_say_no_the_earlier_one_speaks(first: str, second: str) -> None:
    scene = Scene()
    for reason in (second, first):
        SPOILS[reason](scene)
    assert scene.answer() == first


@pytest.mark.parametrize("reason", [reason for reason in SPOILS if reason != "VOUCHER_REPEATED"])
def test_kept_credit_is_in_the_wallet_whatever_else_is_wrong(reason: str) -> None:
    """V1."""
    scene = Scene()
    SPOILS[reason](scene)
    scene.uses, scene.uses_state = 1, RedemptionState.KEPT
    assert scene.answer() == "in wallet"


@pytest.mark.parametrize(
    "reason",
    [
        *("CUSTOMER_LIMIT_REACHED", "PERIOD_LIMIT_REACHED", "VOUCHER_EXHAUSTED", "CAMPAIGN_EXHAUSTED"),
        "BUDGET_EXHAUSTED",
    ],
)
def test_limit_that_an_own_reservation_helps_to_fill_is_in_progress(reason: str) -> None:
    scene = Scene()
    SPOILS[reason](scene)
    scene.uses, scene.uses_state = 1, RedemptionState.RESERVED
    assert scene.answer() == "ROLLBACK_IN_PROGRESS"

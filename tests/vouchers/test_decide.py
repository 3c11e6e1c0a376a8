"""Properties of the decisions, over random histories of a small world."""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime.errors import ServiceError
from services.vouchers.domain.campaigns import AmountOffEffect, Campaign, CreditGrantEffect
from services.vouchers.domain.commands import (
    AnyCommand,
    AnyResult,
    Basket,
    ConfirmRedemptions,
    KeepRedemptions,
    OrderLine,
    RedeemVouchers,
    RedemptionReference,
    RollbackRedemptions,
)
from services.vouchers.domain.decide import decide
from services.vouchers.domain.kinds import COUNTED, RedemptionState
from services.vouchers.domain.redemptions import RolledBack
from services.vouchers.domain.state import Changes, State
from services.vouchers.domain.vouchers import Voucher, VoucherReference

START = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS = [UUID(int=number) for number in range(1, 4)]
ORDERS = [UUID(int=number) for number in range(11, 14)]
CAMPAIGNS = [UUID(int=number) for number in range(21, 24)]
VOUCHERS = [UUID(int=number) for number in range(31, 36)]
REDEMPTIONS = [UUID(int=number) for number in range(41, 50)]
UNKNOWN = VoucherReference("UNKNOWN", None)
REFERENCES = [VoucherReference(f"CODE{voucher_id.int}", None) for voucher_id in VOUCHERS]

# From each state to the others that it may become.
WAYS = {
    RedemptionState.RESERVED: {RedemptionState.KEPT, RedemptionState.CONFIRMED, RedemptionState.ROLLED_BACK},
    RedemptionState.KEPT: {RedemptionState.CONFIRMED},
}


def campaign(
    campaign_id: UUID, effect: CreditGrantEffect | AmountOffEffect, uses_max: int | None, each: int
) -> Campaign:
    return Campaign(
        campaign_id=campaign_id,
        name="Walk",
        effect=effect,
        uses_max=uses_max,
        uses_per_customer_max=each,
        starts_at=None,
        ends_at=None,
        order_minimum_minor=0,
        uses=0,
        created_at=START,
    )


def world() -> State:
    """Three campaigns with five vouchers, all limits so low that they are reached."""
    credit, discount = CreditGrantEffect(10_000, "OMR", 1, 30), AmountOffEffect(700, "OMR")
    campaigns = [
        campaign(CAMPAIGNS[0], credit, None, 1),
        campaign(CAMPAIGNS[1], credit, 4, 3),
        campaign(CAMPAIGNS[2], discount, 3, 2),
    ]
    homes = [(0, 2), (1, None), (1, 1), (2, None), (2, 2)]
    vouchers = [
        Voucher(
            voucher_id=voucher_id,
            campaign_id=CAMPAIGNS[home],
            code=f"CODE{voucher_id.int}",
            uses_max=uses_max,
            uses=0,
            created_at=START,
        )
        for voucher_id, (home, uses_max) in zip(VOUCHERS, homes, strict=True)
    ]
    return State(
        voucher_ids=dict(zip(REFERENCES, VOUCHERS, strict=True)),
        vouchers={voucher.voucher_id: voucher for voucher in vouchers},
        campaigns={one.campaign_id: one for one in campaigns},
    )


# The same ids come again and again, mostly with the same customer and voucher, so that commands meet.
def reference_of(number: int, twist: int) -> RedemptionReference:
    references = [*REFERENCES, UNKNOWN]
    return RedemptionReference(REDEMPTIONS[number], references[(number + twist) % len(references)])


numbers = st.integers(0, len(REDEMPTIONS) - 1)
twists = st.sampled_from([0, 0, 0, 0, 0, 1])
stacks = st.lists(st.builds(reference_of, numbers, twists), min_size=1, max_size=3).map(tuple)


@st.composite
def commands(draw: st.DrawFn) -> AnyCommand:
    redemptions = draw(stacks)
    customer_id = CUSTOMERS[(redemptions[0].redemption_id.int + draw(twists)) % len(CUSTOMERS)]
    kind = draw(
        st.sampled_from([RedeemVouchers, RedeemVouchers, KeepRedemptions, ConfirmRedemptions, RollbackRedemptions])
    )
    if kind is not RedeemVouchers:
        return kind(customer_id=customer_id, redemptions=redemptions)
    order_id = ORDERS[(redemptions[0].redemption_id.int + draw(twists)) % len(ORDERS)]
    lines = (OrderLine(1, UUID(int=1), 1, 500), OrderLine(2, UUID(int=2), 1, 1_000 + draw(twists)))
    basket = Basket(customer_id=customer_id, currency="OMR", lines=lines)
    expires_at = START + timedelta(days=30)
    return RedeemVouchers(
        customer_id=customer_id, redemptions=redemptions, order_id=order_id, basket=basket, expires_at=expires_at
    )


histories = st.lists(commands(), max_size=40)


def run(history: Sequence[AnyCommand], state: State) -> list[AnyResult | ServiceError]:
    return [decide([command], state, START + timedelta(seconds=number))[0] for number, command in enumerate(history)]


def assert_sound(state: State) -> None:
    counted = [redemption for redemption in state.redemptions.values() if redemption.state in COUNTED]
    by_voucher = Counter(redemption.voucher_id for redemption in counted)
    by_campaign = Counter(redemption.campaign_id for redemption in counted)
    by_customer = Counter((redemption.campaign_id, redemption.customer_id) for redemption in counted)
    for voucher in state.vouchers.values():
        assert voucher.uses == by_voucher[voucher.voucher_id] <= (voucher.uses_max or len(counted))
    for one in state.campaigns.values():
        assert one.uses == by_campaign[one.campaign_id] <= (one.uses_max or len(counted))
        for customer_id in CUSTOMERS:
            uses = state.uses_of(one.campaign_id, customer_id)
            assert uses.total() == by_customer[one.campaign_id, customer_id] <= one.uses_per_customer_max
            assert all(count >= 0 for count in uses.values())


@given(histories)
def test_decide_counters_equal_rows_and_no_cap_is_exceeded(history: list[AnyCommand]) -> None:
    """V-1."""
    state = world()
    for command in history:
        decide([command], state, START)
        assert_sound(state)


@given(histories)
def test_decide_refused_command_changes_nothing(history: list[AnyCommand]) -> None:
    """C-1."""
    state = world()
    for command in history:
        state.changes = Changes()
        before = deepcopy(state)
        (outcome,) = decide([command], state, START)
        if isinstance(outcome, ServiceError):
            assert state == before


@given(histories)
def test_decide_redemptions_go_only_allowed_ways_and_never_change_what_they_are(history: list[AnyCommand]) -> None:
    """V-4."""
    state = world()
    for command in history:
        before = dict(state.redemptions)
        decide([command], state, START)
        for redemption_id, old in before.items():
            new = state.redemptions[redemption_id]
            assert new.state == old.state or new.state in WAYS.get(old.state, set())
            assert (new.customer_id, new.voucher_id, new.terms, new.benefit, new.created_at) == (
                (old.customer_id, old.voucher_id, old.terms, old.benefit, old.created_at)
            )


@given(histories)
def test_decide_repeated_at_once_gets_the_same_answer_and_no_second_effect(history: list[AnyCommand]) -> None:
    """K-2: a redemption is answered as it was first, an undo has nothing left to undo."""
    state = world()
    for command in history:
        (first,) = decide([command], state, START)
        after = deepcopy(state.redemptions)
        (second,) = decide([command], state, START + timedelta(hours=1))
        assert state.redemptions == after
        if isinstance(first, ServiceError):
            assert isinstance(second, ServiceError)
            assert second.reason == first.reason
        else:
            assert second == (RolledBack(0) if isinstance(first, RolledBack) else first)


@given(histories, st.data())
def test_decide_redeem_repeated_later_gets_its_first_answer_or_is_undone(
    history: list[AnyCommand], data: st.DataObject
) -> None:
    """K-2, V-4: whatever happened in between."""
    state = world()
    answers = run(history, state)
    for command, first in zip(history, answers, strict=True):
        if not isinstance(command, RedeemVouchers) or isinstance(first, ServiceError):
            continue
        (again,) = decide([command], state, START + timedelta(days=1))
        ids = [reference.redemption_id for reference in command.redemptions]
        is_undone = any(state.redemptions[one].state is RedemptionState.ROLLED_BACK for one in ids)
        if is_undone:
            assert isinstance(again, ServiceError)
            assert again.reason == "REDEMPTION_ALREADY_UNDONE"
        else:
            assert again == first


@given(histories)
def test_decide_after_a_rollback_its_redemptions_can_never_be_made(history: list[AnyCommand]) -> None:
    """V4: no hanging redemption, whichever came first."""
    state = world()
    undone: set[UUID] = set()
    for command in history:
        (outcome,) = decide([command], state, START)
        ids = {reference.redemption_id for reference in command.redemptions}
        if isinstance(command, RollbackRedemptions) and not isinstance(outcome, ServiceError):
            undone |= ids
        if isinstance(command, RedeemVouchers) and not isinstance(outcome, ServiceError):
            states = {state.redemptions[one].state for one in ids & undone}
            assert states <= {RedemptionState.IN_WALLET}


@given(histories)
@settings(max_examples=50)
def test_decide_one_group_is_the_same_as_one_by_one(history: list[AnyCommand]) -> None:
    """Who shares a commit with whom makes no difference."""
    together, apart = world(), world()
    in_one = decide(history, together, START)
    one_by_one = [decide([command], apart, START)[0] for command in history]
    assert together == apart
    assert list(map(repr, in_one)) == list(map(repr, one_by_one))

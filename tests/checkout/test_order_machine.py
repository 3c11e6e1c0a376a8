"""Any commands in any order, decided as the database's transactions would have them: the rules that always hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.checkout.domain.commands import (
    ApplyNews,
    AskForSession,
    BeginClosing,
    BeginSettling,
    Command,
    CompleteOrder,
    CreateOrder,
    EndOrder,
    HandOver,
    RecordClosed,
    RecordSession,
    RefuseOrder,
    SettlePrice,
)
from services.checkout.domain.decide import decide
from services.checkout.domain.kinds import ENDED, FORWARD_ONLY, OrderState, PaymentState
from services.checkout.domain.orders import Draft, Order, Refusal
from services.checkout.domain.payments import News, Payment, PaySession
from services.checkout.domain.prices import Breakdown, LineAsked, Price
from services.checkout.domain.state import State
from services.runtime.errors import ServiceError, Status
from services.runtime.ids import new_id

BEGUN_AT = datetime(2030, 1, 1, tzinfo=UTC)
PRICE = Price(new_id(), new_id(), "OMR", 50_000)
REFUSAL = Refusal(status=Status.FAILED_PRECONDITION, domain="d", reason="R", metadata={}, message="No.")
SESSION = PaySession("cs_1", "https://pay.example/cs_1", BEGUN_AT + timedelta(hours=1))


def draft(credits_minor: int) -> Draft:
    return Draft(
        order_id=new_id(),
        customer_id=new_id(),
        currency="OMR",
        lines=(LineAsked(PRICE.price_id, 1),),
        vouchers=(),
        use_credits=True,
        expected=Breakdown(50_000, 0, credits_minor, 50_000 - credits_minor),
        payment_provider="sandbox",
        payment_window_s=60,
        place_timeout_s=60,
        request_fingerprint=b"0123456789abcdef",
    )


class World:
    """One order and its payment, as the rows would stand."""

    def __init__(self, credits_minor: int) -> None:
        self.draft = draft(credits_minor)
        self.credits_minor = credits_minor
        self.order: Order | None = None
        self.payment: Payment | None = None
        self.now = BEGUN_AT

    def commands(self) -> dict[str, Command[Any]]:
        order_id = self.draft.order_id
        paid = News(
            state=PaymentState.PAID,
            session_id="cs_1",
            provider_payment_id="pay_1",
            amount_minor=50_000 - self.credits_minor,
            currency="OMR",
            paid_at=None,
        )
        return {
            "create": CreateOrder(draft=self.draft),
            "refuse": RefuseOrder(draft=self.draft, refusal=REFUSAL),
            "settle price": SettlePrice(order_id=order_id, line_discounts=(), credits_held_minor=self.credits_minor),
            "ask": AskForSession(order_id=order_id),
            "record": RecordSession(order_id=order_id, session=SESSION),
            "hand over": HandOver(order_id=order_id),
            "begin closing": BeginClosing(order_id=order_id),
            "record closed": RecordClosed(order_id=order_id),
            "paid": ApplyNews(order_id=order_id, news=paid),
            "wrong amount": ApplyNews(order_id=order_id, news=replace(paid, amount_minor=1)),
            "declined": ApplyNews(order_id=order_id, news=replace(paid, state=PaymentState.FAILED)),
            "expired": ApplyNews(order_id=order_id, news=replace(paid, state=PaymentState.EXPIRED)),
            "begin settling": BeginSettling(order_id=order_id),
            "complete": CompleteOrder(order_id=order_id),
            "end": EndOrder(draft=self.draft, state=OrderState.EXPIRED, refusal=REFUSAL, undo_pending=False),
            "end early": EndOrder(draft=self.draft, state=OrderState.EXPIRED, refusal=REFUSAL, undo_pending=True),
        }

    def do(self, name: str) -> object:
        """The command's answer or its refusal; the rows as they are after it."""
        self.now += timedelta(seconds=1)
        state = State(order=self.order, payment=self.payment, prices={PRICE.price_id: PRICE}, now=self.now)
        try:
            change = decide(self.commands()[name], state)
        except ServiceError as refusal:
            return refusal
        self.order = change.order or self.order
        self.payment = change.payment or self.payment
        return change.result


NAMES = list(World(0).commands())
GOOD_RUN = ["create", "settle price", "ask", "record", "hand over", "paid", "begin settling", "complete"]
STEPS = st.one_of(
    st.lists(st.sampled_from(NAMES), max_size=25),
    # Mostly the good run, with something thrown in at any place: random commands alone seldom get far.
    st.lists(st.sampled_from(NAMES), max_size=4).flatmap(
        lambda extra: st.permutations(range(len(GOOD_RUN) + len(extra))).map(
            lambda order: [GOOD_RUN[i] if i < len(GOOD_RUN) else extra[i - len(GOOD_RUN)] for i in _merged(order)]
        )
    ),
)


def _merged(order: list[int]) -> list[int]:
    """The good run in its order, the extras wherever chance has put them."""
    run = iter(range(len(GOOD_RUN)))
    return [next(run) if i < len(GOOD_RUN) else i for i in order]


def money_of(payment: Payment) -> tuple[object, ...]:
    """What never changes once it is there."""
    return payment.state, payment.provider_payment_id, payment.paid_at, payment.is_late, payment.terms


def check(before: World, world: World) -> None:
    order, payment = world.order, world.payment
    if order is not None:
        assert (order.state in ENDED) == (order.ended_at is not None) == (order.refusal is not None)
        assert (order.state in FORWARD_ONLY) == (order.settling_at is not None)
        assert (order.state is OrderState.PLACED) == (order.placed_at is not None)
        if order.state is OrderState.AWAITING_PAYMENT:
            assert order.handed_over_at is not None
            assert payment is not None
            assert payment.session is not None
        if order.breakdown is not None:
            assert order.breakdown == order.draft.expected
        if order.state in FORWARD_ONLY:
            assert order.breakdown is not None
            assert order.breakdown.amount_due_minor == 0 or (payment is not None and payment.pays)
        assert order.undone_at is None or order.state in ENDED
        if order.state in ENDED:
            assert payment is None or not payment.pays
    if payment is not None:
        assert (payment.state is PaymentState.PAID) == (payment.paid_at is not None)
        assert payment.closed_at is None or not payment.pays
    if before.order is not None:
        assert order is not None
        assert order.draft == before.order.draft
        if before.order.state in ENDED | {OrderState.PLACED}:
            assert replace(order, undone_at=None, updated_at=BEGUN_AT) == replace(
                before.order, undone_at=None, updated_at=BEGUN_AT
            )
        assert before.order.is_open or order == before.order
    if before.payment is not None and before.payment.state is PaymentState.PAID:
        assert payment is not None
        assert money_of(payment) == money_of(before.payment)


@settings(max_examples=1000)
@given(steps=STEPS, credits_minor=st.sampled_from([0, 10_000, 50_000]))
def test_any_commands_in_any_order_break_no_rule(steps: list[str], credits_minor: int) -> None:
    """P-2, P-4, S-4: no end after the pivot, no pivot without money, no second life, whatever comes when."""
    world = World(credits_minor)
    for name in steps:
        before = World(credits_minor)
        before.order, before.payment = world.order, world.payment
        world.do(name)
        check(before, world)


@settings(max_examples=300)
@given(steps=STEPS, credits_minor=st.sampled_from([0, 50_000]))
def test_any_command_twice_is_once(steps: list[str], credits_minor: int) -> None:
    """K-1, K-2: the second time changes nothing but a time, and gives the first answer again."""
    world = World(credits_minor)
    for name in steps:
        first = world.do(name)
        order, payment = world.order, world.payment
        second = world.do(name)
        if not isinstance(first, ServiceError):
            assert not isinstance(second, ServiceError), (name, second)
        assert world.order == order
        assert payment is None or (
            world.payment is not None
            and replace(world.payment, updated_at=BEGUN_AT) == replace(payment, updated_at=BEGUN_AT)
        )


@settings(max_examples=300)
@given(steps=STEPS)
def test_undo_before_its_step_refuses_the_step(steps: list[str]) -> None:
    """V4: a page that was closed before it was opened is not opened, an order that was ended is not created."""
    world = World(0)
    world.do("begin closing")
    world.do("end")
    for name in steps:
        world.do(name)
    assert world.order is not None
    assert world.order.state is OrderState.EXPIRED
    assert world.payment is not None
    assert world.payment.session is None

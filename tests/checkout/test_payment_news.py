"""What news from the provider do to a payment, in any order and number (P3, P-3, P-4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkout.domain.kinds import PaymentState
from services.checkout.domain.payments import (
    News,
    Payment,
    PaySession,
    SessionTerms,
    apply_news,
    new_payment,
    payment_tombstone,
)
from services.runtime.ids import new_id

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TERMS = SessionTerms("sandbox", 40_000, "OMR", "key", NOW + timedelta(hours=1))
SESSION = PaySession("cs_1", "https://pay.example/cs_1", NOW + timedelta(hours=1))
PAID = News(
    state=PaymentState.PAID,
    session_id="cs_1",
    provider_payment_id="pay_1",
    amount_minor=40_000,
    currency="OMR",
    paid_at=NOW,
)
FAILED = replace(PAID, state=PaymentState.FAILED, provider_payment_id=None, paid_at=None)
EXPIRED = replace(FAILED, state=PaymentState.EXPIRED)
NEWS = st.lists(st.sampled_from([PAID, FAILED, EXPIRED]), max_size=8)


def payment() -> Payment:
    return replace(new_payment(new_id(), TERMS, NOW), session=SESSION)


def after(start: Payment, news: list[News], *, order_has_ended: bool = False) -> Payment:
    for piece in news:
        start, _ = apply_news(start, piece, order_has_ended=order_has_ended, now=NOW)
    return start


@given(news=NEWS, dice=st.randoms())
def test_news_in_any_order_and_number_end_the_same(news: list[News], dice: object) -> None:
    """P3, P-4."""
    shuffled = news + news[: len(news) // 2]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    start = payment()
    assert after(start, shuffled) == after(start, news)


@given(news=NEWS)
def test_paid_payment_never_goes_back(news: list[News]) -> None:
    paid = after(payment(), [PAID])
    assert after(paid, news) == paid
    assert paid.pays


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PAID, amount_minor=39_999),
        replace(PAID, amount_minor=None),
        replace(PAID, currency="EUR"),
        replace(PAID, session_id="cs_2"),
        replace(PAID, provider_payment_id=None),
    ],
)
def test_paid_news_that_are_not_what_was_asked_for_are_never_applied(wrong: News) -> None:
    """P-3."""
    start = payment()
    applied, mismatch = apply_news(start, wrong, order_has_ended=False, now=NOW)
    assert mismatch
    assert applied == replace(start, mismatch=mismatch)
    assert after(applied, [PAID]).pays


def test_second_payment_of_a_paid_session_is_a_mismatch() -> None:
    paid = after(payment(), [PAID])
    again = replace(PAID, provider_payment_id="pay_2")
    applied, mismatch = apply_news(paid, again, order_has_ended=False, now=NOW)
    assert mismatch
    assert "pay_2" in mismatch
    assert applied.provider_payment_id == "pay_1"


def test_paid_news_before_our_own_answer_from_the_provider_are_applied() -> None:
    """The webhook may be faster than the answer that names the session."""
    assert after(replace(payment(), session=None), [PAID]).pays


@pytest.mark.parametrize("ending", [FAILED, EXPIRED])
def test_paid_news_after_an_ending_that_nobody_acted_upon_are_applied(ending: News) -> None:
    assert after(payment(), [ending, PAID]).pays


def test_paid_news_after_the_page_was_closed_are_late() -> None:
    """The undo has begun: the money is recorded, but no order is settled with it."""
    late = after(payment().closed(NOW), [PAID])
    assert (late.state, late.is_late, late.pays) == (PaymentState.PAID, True, False)


def test_paid_news_after_the_end_of_the_order_are_late() -> None:
    late = after(payment(), [PAID], order_has_ended=True)
    assert (late.is_late, late.pays) == (True, False)


@given(news=NEWS)
def test_news_of_a_payment_that_was_never_asked_for_change_nothing(news: list[News]) -> None:
    tombstone = payment_tombstone(new_id(), NOW)
    assert after(tombstone, news).state is PaymentState.EXPIRED

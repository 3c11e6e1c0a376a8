"""Money at the providers: what came, and what goes back. All refunds of a receipt together never exceed it (P-6)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.checkout.domain.kinds import ReceiptStanding, RefundSource, RefundState
from services.checkout.errors import RefundExceedsPayment, RefundExistsWithDifferentField
from services.runtime.ids import derived_id


class ReceiptKey(NamedTuple):
    """A receipt's name: the provider and the provider's id of the payment."""

    provider: str
    provider_payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A success at a provider, written down once. `why`: what keeps it from being applied, for an operator."""

    key: ReceiptKey
    order_id: UUID | None
    amount_minor: int
    currency: str
    paid_at: datetime
    standing: ReceiptStanding
    why: str | None = None
    created_at: datetime

    def unwanted(self, why: str) -> "Receipt":
        """The receipt from the moment on that no order stands for it: all of it goes back."""
        return replace(self, standing=ReceiptStanding.UNWANTED, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundNews:
    """What a provider says of a refund; `refund_id` is None when it is not one of ours."""

    key: ReceiptKey
    provider_refund_id: str | None
    refund_id: UUID | None
    state: RefundState
    amount_minor: int
    currency: str
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that goes back, or went."""

    refund_id: UUID
    order_id: UUID
    key: ReceiptKey
    amount_minor: int
    currency: str
    reason: str
    source: RefundSource
    state: RefundState
    idempotency_key: str | None
    provider_refund_id: str | None = None
    failure: str | None = None
    completed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    def check_same(self, key: ReceiptKey, amount_minor: int | None, reason: str) -> None:
        """Raises REFUND_EXISTS_WITH_DIFFERENT_FIELD when another refund was asked for under this id.

        `amount_minor` None was "all that is left", which fits whatever was left then.
        """
        fields = (
            ("payment", self.key == key),
            ("amount_minor", amount_minor in (None, self.amount_minor)),
            ("reason", self.reason == reason),
        )
        for field, is_same in fields:
            if not is_same:
                raise RefundExistsWithDifferentField(refund_id=self.refund_id, field=field)

    def after(self, news: RefundNews, now: datetime) -> "Refund":
        """The refund as the provider has it, in whatever order its news come (P3).

        Nothing changes a refund back to pending, and what its provider calls failed stays failed: a bank sends money
        back after it went through, never before. A refusal without an id says nothing of a refund that has one.
        What changes after it was booked is to be booked again.
        """
        if news.state is RefundState.PENDING:
            is_first = self.state is RefundState.PENDING and self.provider_refund_id is None
            return replace(self, provider_refund_id=news.provider_refund_id) if is_first else self
        if (news.state, news.provider_refund_id) == (self.state, self.provider_refund_id):
            return self
        is_refusal = news.provider_refund_id is None
        if self.provider_refund_id is not None and (is_refusal or self.state is RefundState.FAILED):
            return self
        failure = (news.failure or "unknown") if news.state is RefundState.FAILED else None
        provider_refund_id = news.provider_refund_id or self.provider_refund_id
        completed_at = self.completed_at if news.state is self.state else None
        return replace(
            self,
            state=news.state,
            provider_refund_id=provider_refund_id,
            failure=failure,
            completed_at=completed_at,
            updated_at=now,
        )

    def completed(self, now: datetime) -> "Refund":
        """The refund once its workflow is through with it."""
        return self if self.completed_at is not None else replace(self, completed_at=now, updated_at=now)


def left_of(receipt: Receipt, refunds: Iterable[Refund]) -> int:
    """What of a receipt has not gone back and is not on its way, in minor units; only the provider gets it below 0."""
    alive = (each for each in refunds if each.key == receipt.key and each.state is not RefundState.FAILED)
    return receipt.amount_minor - sum(each.amount_minor for each in alive)


def new_refund(
    receipt: Receipt,
    refunds: Iterable[Refund],
    *,
    refund_id: UUID,
    amount_minor: int | None,
    reason: str,
    now: datetime,
) -> Refund:
    """A refund of ours that is about to be made; `amount_minor` None: all that is left.

    Raises REFUND_EXCEEDS_PAYMENT, also when nothing is left.
    """
    assert receipt.order_id is not None, "foreign money is left alone"
    left_minor = left_of(receipt, refunds)
    asked_minor = left_minor if amount_minor is None else amount_minor
    if asked_minor > left_minor or asked_minor <= 0:
        raise RefundExceedsPayment(
            order_id=receipt.order_id,
            amount_minor=asked_minor,
            left_minor=max(left_minor, 0),
            paid_minor=receipt.amount_minor,
        )
    return Refund(
        refund_id=refund_id,
        order_id=receipt.order_id,
        key=receipt.key,
        amount_minor=asked_minor,
        currency=receipt.currency,
        reason=reason,
        source=RefundSource.OURS,
        state=RefundState.PENDING,
        idempotency_key=str(refund_id),
        created_at=now,
        updated_at=now,
    )


def refund_of_the_provider(order_id: UUID, news: RefundNews, now: datetime) -> Refund:
    """A refund that was made without us, for example at the provider's dashboard."""
    return Refund(
        refund_id=derived_id(order_id, f"refund {news.key.provider} {news.provider_refund_id}"),
        order_id=order_id,
        key=news.key,
        amount_minor=news.amount_minor,
        currency=news.currency,
        reason="made at the provider",
        source=RefundSource.PROVIDER,
        state=news.state,
        idempotency_key=None,
        provider_refund_id=news.provider_refund_id,
        failure=(news.failure or "unknown") if news.state is RefundState.FAILED else None,
        created_at=now,
        updated_at=now,
    )

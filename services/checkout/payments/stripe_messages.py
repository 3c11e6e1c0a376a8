"""What Stripe says, read strictly: anything else is no answer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_AMOUNT_MAX = 2**53

Id = Annotated[str, Field(pattern="^[A-Za-z0-9_]{1,255}$")]
Amount = Annotated[int, Field(ge=0, le=_AMOUNT_MAX)]
# Stripe writes currencies small.
Currency = Annotated[str, Field(pattern="^[a-z]{3}$")]
Seconds = Annotated[int, Field(ge=0, le=10**11)]
# One of Stripe's own words, of which it may add more.
Word = Annotated[str, Field(pattern="^[a-z_]{1,64}$")]
Metadata = Mapping[str, str]


class Message(BaseModel):
    """What is not named here may change without notice."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Charge(Message):
    """The successful attempt to pay."""

    id: Id
    created: Seconds


class PaymentIntent(Message):
    """A payment, however many attempts it takes."""

    id: Id
    status: str
    amount_received: Amount
    currency: Currency
    created: Seconds
    metadata: Metadata = {}
    latest_charge: Charge | Id | None = None
    livemode: bool


class Session(Message):
    """A Checkout Session."""

    id: Id
    status: Literal["open", "complete", "expired"]
    payment_status: Literal["paid", "unpaid", "no_payment_required"]
    amount_total: Amount
    currency: Currency
    client_reference_id: str | None = None
    metadata: Metadata = {}
    payment_intent: PaymentIntent | Id | None = None
    url: str | None = Field(None, pattern="^https?://[!-~]{1,8000}$")
    created: Seconds
    expires_at: Seconds
    livemode: bool


class Refund(Message):
    """A refund of a payment or a part of it."""

    id: Id
    amount: Amount
    currency: Currency
    status: str | None
    created: Seconds
    payment_intent: Id | None = None
    metadata: Metadata = {}
    failure_reason: Word | None = None


class Dispute(Message):
    """A payment that the customer's bank disputes."""

    id: Id
    amount: Amount
    currency: Currency
    status: Word
    payment_intent: Id | None = None


Item = TypeVar("Item", Session, PaymentIntent, Refund)


class Page(Message, Generic[Item]):
    """A part of a list, newest first."""

    data: tuple[Item, ...]
    has_more: bool


class Event(Message):
    """What every event has."""

    id: Id
    object: Literal["event"]
    type: str = Field(max_length=200)
    livemode: bool


_Object = TypeVar("_Object", Session, PaymentIntent, Refund, Dispute)


class Holder(Message, Generic[_Object]):
    """What an event is about."""

    object: _Object


class EventOf(Message, Generic[_Object]):
    """An event about one kind of object."""

    data: Holder[_Object]


def moment(seconds: int) -> datetime:
    """Stripe's seconds since 1970 as a time."""
    return datetime.fromtimestamp(seconds, UTC)

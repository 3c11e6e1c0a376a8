"""What the sandbox provider says, read strictly: anything else is no answer."""

import enum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.checkout.payments.provider import ProviderPaymentState

_AMOUNT_MAX = 2**63 - 1
# Nothing that a database refuses, and nothing that would change a path.
_IDENTIFIER = "^[A-Za-z0-9_.:-]{1,200}$"


class Message(BaseModel):
    """What is not named here may change without notice."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class State(enum.Enum):
    """Where a session stands."""

    OPEN = "open"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


PAYMENT_STATES = {
    State.OPEN: ProviderPaymentState.PENDING,
    State.PAID: ProviderPaymentState.PAID,
    State.FAILED: ProviderPaymentState.FAILED,
    State.EXPIRED: ProviderPaymentState.EXPIRED,
}


class Session(Message):
    """A session, as answers and events show it."""

    session_id: str = Field(pattern=_IDENTIFIER)
    order_id: str = Field(max_length=200)
    amount_minor: int = Field(gt=0, le=_AMOUNT_MAX)
    currency: str = Field(pattern="^[A-Z]{3}$")
    state: State
    expire_time: AwareDatetime
    provider_payment_id: str | None = Field(None, pattern=_IDENTIFIER)
    paid_time: AwareDatetime | None = None


class Page(Session):
    """A session with its pay page."""

    url: str = Field(pattern="^https?://[!-~]{1,2000}$")


class Pages(Message):
    """The sessions of an order."""

    # Newest first.
    sessions: tuple[Page, ...]


class Payment(Message):
    """Money taken, with its order."""

    provider_payment_id: str = Field(pattern=_IDENTIFIER)
    order_id: str = Field(max_length=200)
    amount_minor: int = Field(gt=0, le=_AMOUNT_MAX)
    currency: str = Field(pattern="^[A-Z]{3}$")
    paid_time: AwareDatetime


class Payments(Message):
    """The payments of a time."""

    payments: tuple[Payment, ...]


class Refund(Message):
    """Money given back; `refund_id` is the merchant's, where it was the merchant who gave it back."""

    provider_refund_id: str = Field(pattern=_IDENTIFIER)
    refund_id: str | None = Field(None, max_length=200)
    provider_payment_id: str = Field(pattern=_IDENTIFIER)
    session_id: str = Field(pattern=_IDENTIFIER)
    amount_minor: int = Field(gt=0, le=_AMOUNT_MAX)
    currency: str = Field(pattern="^[A-Z]{3}$")


class Refunds(Message):
    """The refunds of a time."""

    refunds: tuple[Refund, ...]


class Error(Message):
    """The provider's own word for a refusal."""

    code: str = Field(pattern="^[a-z0-9_]{1,64}$")


class ErrorAnswer(Message):
    """The body of an answer other than 2xx."""

    error: Error


class Event(Message):
    """What every event has."""

    event_id: str = Field(pattern=_IDENTIFIER)
    kind: str


class SessionEvent(Event):
    """An event of a session."""

    session: Session


class RefundEvent(Event):
    """An event of a refund."""

    refund: Refund

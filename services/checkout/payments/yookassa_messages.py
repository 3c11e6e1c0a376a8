"""What YooKassa says, read strictly: anything else is no answer."""

from collections.abc import Mapping
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")]
Metadata = Mapping[str, str]


class Message(BaseModel):
    """What is not named here may change without notice."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Amount(Message):
    """A decimal number and its currency."""

    value: str = Field(pattern="^[0-9]{1,13}([.][0-9]{1,4})?$")
    currency: str = Field(pattern="^[A-Z]{3}$")


class Recipient(Message):
    """Whose payment it is."""

    account_id: str


class Confirmation(Message):
    """Where the customer pays."""

    confirmation_url: str | None = Field(None, pattern="^https?://[!-~]{1,2000}$")


class Cancellation(Message):
    """Why a payment or a refund came to nothing."""

    reason: str = Field(pattern="^[a-z0-9_]{1,64}$")


class Payment(Message):
    """A payment; its pay page and its money are one object."""

    id: Id
    status: Literal["pending", "waiting_for_capture", "succeeded", "canceled"]
    amount: Amount
    recipient: Recipient
    created_at: AwareDatetime
    captured_at: AwareDatetime | None = None
    confirmation: Confirmation | None = None
    cancellation_details: Cancellation | None = None
    metadata: Metadata = {}


class Refund(Message):
    """A refund of a payment or a part of it."""

    id: Id
    payment_id: Id
    status: Literal["pending", "succeeded", "canceled"]
    amount: Amount
    created_at: AwareDatetime
    cancellation_details: Cancellation | None = None
    metadata: Metadata = {}


Item = TypeVar("Item", Payment, Refund)


class Page(Message, Generic[Item]):
    """A part of a list."""

    items: tuple[Item, ...]
    next_cursor: str | None = Field(None, max_length=200)


class Error(Message):
    """The body of an answer other than 2xx."""

    code: str = Field(pattern="^[a-z0-9_]{1,64}$")


class NotifiedObject(Message):
    """What a notification is about; nothing but its id is taken from it."""

    id: Id


class Notification(Message):
    """A webhook."""

    type: Literal["notification"]
    # Of one that is unknown, this is part of the id that it is stored under.
    event: str = Field(pattern="^[a-z_.]{1,100}$")
    object: NotifiedObject

"""Refusals that come from the ids in a request: of redemptions and of pages of them."""

from dataclasses import dataclass
from uuid import UUID

from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


@dataclass(eq=False)
class VoucherRepeated(InvalidArgument):
    """One voucher or redemption stands twice in a request; `repeated` is its id."""

    reason = "VOUCHER_REPEATED"
    text = "{repeated} stands twice in the request"
    repeated: UUID


@dataclass(eq=False)
class RedemptionNotFound(NotFound):
    """No redemption with this id."""

    reason = "REDEMPTION_NOT_FOUND"
    text = "redemption {redemption_id} does not exist"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionExistsWithDifferentField(AlreadyExists):
    """The redemption's id is taken by another content, or belongs to another customer or voucher."""

    reason = "REDEMPTION_EXISTS_WITH_DIFFERENT_FIELD"
    text = "redemption {redemption_id} exists with a different {field}"
    redemption_id: UUID
    field: str


@dataclass(eq=False)
class RedemptionAlreadyUndone(FailedPrecondition):
    """The redemption was rolled back, perhaps before it arrived, or expired or restored; `state` says which."""

    reason = "REDEMPTION_ALREADY_UNDONE"
    text = "redemption {redemption_id} is undone: {state}"
    redemption_id: UUID
    state: str


@dataclass(eq=False)
class RedemptionAlreadyConfirmed(FailedPrecondition):
    """The redemption belongs to a placed order, so it cannot be rolled back."""

    reason = "REDEMPTION_ALREADY_CONFIRMED"
    text = "redemption {redemption_id} is confirmed"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionKept(FailedPrecondition):
    """The pay page was handed over, so this credit stays with the customer."""

    reason = "REDEMPTION_KEPT"
    text = "redemption {redemption_id} is kept by its customer"
    redemption_id: UUID


@dataclass(eq=False)
class RedemptionNotConfirmed(FailedPrecondition):
    """The redemption's order is not placed yet, so there is nothing to restore."""

    reason = "REDEMPTION_NOT_CONFIRMED"
    text = "redemption {redemption_id} is {state}, not confirmed"
    redemption_id: UUID
    state: str


@dataclass(eq=False)
class InvalidPageToken(InvalidArgument):
    """The page token was not made by this list."""

    reason = "INVALID_PAGE_TOKEN"
    text = "the page token {page_token} belongs to another list"
    page_token: str

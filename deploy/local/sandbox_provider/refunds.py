"""Refunds: by the merchant over the API, or by a person at the dashboard. Each change tells of itself by an event."""

import json
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from deploy.local.sandbox_provider.journal import Journal, Row, now_text

_SELECT = """
SELECT r.*, p.session_id FROM refunds AS r JOIN payments AS p USING (provider_payment_id)
"""


class NewRefund(BaseModel):
    """A refund as it is asked for."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    provider_payment_id: str = Field(max_length=200)
    # The merchant's own id of it; a refund of the dashboard has none.
    refund_id: UUID | None = None
    amount_minor: int = Field(gt=0, le=10**15)


class Refunds:
    """All refunds of the journal; `on_event` is called after each."""

    def __init__(self, journal: Journal, on_event: Callable[[str], None]) -> None:
        self._journal = journal
        self._on_event = on_event

    def make(self, new: NewRefund) -> tuple[Row, str] | None:
        """The refund and its event, inside the caller's transaction; None when so much is not left of the payment."""
        payment = self._journal.row(
            "SELECT p.*, (SELECT coalesce(sum(r.amount_minor), 0) FROM refunds AS r"
            " WHERE r.provider_payment_id = p.provider_payment_id) AS refunded_minor"
            " FROM payments AS p WHERE provider_payment_id = ?",
            new.provider_payment_id,
        )
        if payment is None or new.amount_minor > payment["amount_minor"] - payment["refunded_minor"]:
            return None
        provider_refund_id = f"rfd_{secrets.token_urlsafe(18)}"
        self._journal.write(
            "INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?)",
            *(provider_refund_id, str(new.refund_id) if new.refund_id else None, new.provider_payment_id),
            *(new.amount_minor, payment["currency"], now_text()),
        )
        refund = self.find(provider_refund_id)
        assert refund is not None, "it has just been written"
        return refund, self._record_event(refund)

    def tell(self, event_id: str) -> None:
        """To be called once the transaction is committed."""
        self._on_event(event_id)

    def find(self, provider_refund_id: str) -> Row | None:
        """The refund; None when there is none."""
        return self._journal.row(_SELECT + "WHERE provider_refund_id = ?", provider_refund_id)

    def between(self, since: str, until: str) -> list[Row]:
        """All refunds of a time, oldest first."""
        return self._journal.rows(_SELECT + "WHERE create_time >= ? AND create_time < ? ORDER BY 6", since, until)

    def _record_event(self, refund: Row) -> str:
        event_id = f"evt_{secrets.token_urlsafe(18)}"
        body = {
            "event_id": event_id,
            "kind": "refund.made",
            "create_time": now_text(),
            "refund": described(refund),
        }
        self._journal.write(
            "INSERT INTO events (event_id, kind, session_id, body, create_time) VALUES (?, ?, ?, ?, ?)",
            *(event_id, body["kind"], refund["session_id"], json.dumps(body), body["create_time"]),
        )
        return event_id


def described(refund: Row) -> dict[str, Any]:
    """A refund as answers and events show it."""
    shown = (
        *("provider_refund_id", "refund_id", "provider_payment_id", "session_id"),
        *("amount_minor", "currency", "create_time"),
    )
    return {name: refund[name] for name in shown}

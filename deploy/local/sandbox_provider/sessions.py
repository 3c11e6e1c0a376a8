"""Sessions and what may happen to them. Each change and the event that tells of it are one transaction."""

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deploy.local.sandbox_provider.journal import Journal, Row, as_text, now_text

_SELECT = """
SELECT s.*, p.provider_payment_id, p.paid_time FROM sessions AS s LEFT JOIN payments AS p USING (session_id)
"""


class NewSession(BaseModel):
    """A pay page as the merchant asks for it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    order_id: UUID
    payment_id: UUID
    amount_minor: int = Field(gt=0, le=10**15)
    currency: str = Field(pattern="^[A-Z]{3}$")
    expire_time: AwareDatetime


class Sessions:
    """All sessions of the journal; `on_event` is called after each change that made an event."""

    def __init__(self, journal: Journal, on_event: Callable[[str], None]) -> None:
        self._journal = journal
        self._on_event = on_event

    def create(self, new: NewSession) -> Row:
        """Opens a session; inside the caller's transaction."""
        session_id = f"ses_{secrets.token_urlsafe(18)}"
        self._journal.write(
            "INSERT INTO sessions (session_id, order_id, payment_id, amount_minor, currency, state, create_time,"
            " expire_time) VALUES (?, ?, ?, ?, ?, 'open', ?, ?)",
            *(session_id, str(new.order_id), str(new.payment_id), new.amount_minor, new.currency),
            *(now_text(), as_text(new.expire_time)),
        )
        return self._read(session_id)

    def find(self, session_id: str) -> Row | None:
        """The session with its payment; None when there is no such session."""
        self.expire_due()
        return self._journal.row(_SELECT + "WHERE session_id = ?", session_id)

    def of_order(self, order_id: str) -> list[Row]:
        """The order's sessions, newest first."""
        self.expire_due()
        return self._journal.rows(_SELECT + "WHERE order_id = ? ORDER BY s.create_time DESC", order_id)

    def payments_between(self, since: str, until: str) -> list[Row]:
        """All payments of a time with their orders, oldest first."""
        return self._journal.rows(
            "SELECT p.*, s.order_id FROM payments AS p JOIN sessions AS s USING (session_id)"
            " WHERE p.paid_time >= ? AND p.paid_time < ? ORDER BY p.paid_time",
            *(since, until),
        )

    def expire(self, session_id: str) -> Row:
        """Closes an open session; one that has ended stays as it is."""
        return self._end(session_id, "expired", "session.expired")

    def decline(self, session_id: str) -> Row:
        """Ends an open session without a payment, for good."""
        return self._end(session_id, "failed", "payment.failed")

    def pay(self, session_id: str) -> Row:
        """Takes the money of an open session; one that has ended stays as it is."""
        self.expire_due()
        with self._journal.transaction():
            session = self._read(session_id)
            if session["state"] != "open":
                return session
            self._journal.write("UPDATE sessions SET state = 'paid' WHERE session_id = ?", session_id)
            self._journal.write(
                "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
                *(f"pay_{secrets.token_urlsafe(18)}", session_id),
                *(session["amount_minor"], session["currency"], now_text()),
            )
            event_id = self._record_event("payment.paid", session_id)
        self._on_event(event_id)
        return self._read(session_id)

    def refuse_attempt(self, session_id: str) -> Row:
        """Counts a card that was refused; the page stays open."""
        self.expire_due()
        with self._journal.transaction():
            if self._read(session_id)["state"] != "open":
                return self._read(session_id)
            self._journal.write(
                "UPDATE sessions SET attempts_failed = attempts_failed + 1 WHERE session_id = ?", session_id
            )
            event_id = self._record_event("payment.attempt_failed", session_id)
        self._on_event(event_id)
        return self._read(session_id)

    def expire_due(self) -> None:
        """Expires every open session whose time is over."""
        due = "SELECT session_id FROM sessions WHERE state = 'open' AND expire_time <= ?"
        for session in self._journal.rows(due, now_text()):
            self.expire(session["session_id"])

    def next_expire_time(self) -> datetime | None:
        """When the next open session expires; None when none is open."""
        row = self._journal.row("SELECT min(expire_time) AS next FROM sessions WHERE state = 'open'")
        return datetime.fromisoformat(row["next"]) if row and row["next"] else None

    def _end(self, session_id: str, state: str, kind: str) -> Row:
        with self._journal.transaction():
            session = self._read(session_id)
            if session["state"] != "open":
                return session
            self._journal.write("UPDATE sessions SET state = ? WHERE session_id = ?", state, session_id)
            event_id = self._record_event(kind, session_id)
        self._on_event(event_id)
        return self._read(session_id)

    def _record_event(self, kind: str, session_id: str) -> str:
        event_id = f"evt_{secrets.token_urlsafe(18)}"
        body = {
            "event_id": event_id,
            "kind": kind,
            "create_time": now_text(),
            "session": described(self._read(session_id)),
        }
        self._journal.write(
            "INSERT INTO events (event_id, kind, session_id, body, create_time) VALUES (?, ?, ?, ?, ?)",
            *(event_id, kind, session_id, json.dumps(body), body["create_time"]),
        )
        return event_id

    def _read(self, session_id: str) -> Row:
        session = self._journal.row(_SELECT + "WHERE session_id = ?", session_id)
        assert session is not None, "callers look it up first"
        return session


def described(session: Row) -> dict[str, Any]:
    """A session as answers and events show it."""
    shown = (
        *("session_id", "order_id", "payment_id", "amount_minor", "currency", "state"),
        *("create_time", "expire_time", "provider_payment_id", "paid_time"),
    )
    return {name: session[name] for name in shown}

"""What checkout asks its database about money at providers: reads, and what was left undone."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.checkout.domain.findings import Finding, FindingKind
from services.checkout.domain.kinds import IN_FLIGHT
from services.checkout.domain.receipts import Receipt, ReceiptKey, Refund
from services.checkout.errors import OrderNotFound, RefundNotFound
from services.checkout.store.rows import order_of, receipt_of, refund_of
from services.checkout.store.statements import queries
from services.checkout.store.write import write_findings
from services.runtime.database import Connection, Pool, in_transaction, reading


class StoredRefund(NamedTuple):
    """A refund, the receipt that it is of, and how its order stands."""

    refund: Refund
    receipt: Receipt
    customer_id: UUID
    is_order_in_flight: bool


class OrderMoney(NamedTuple):
    """All that came in for an order and all that goes back."""

    receipts: Sequence[Receipt]
    refunds: Sequence[Refund]


class StoredFinding(NamedTuple):
    """A finding, its place in the list, and when it was found first."""

    number: int
    finding: Finding
    found_at: datetime


class Holding(NamedTuple):
    """What has come to a provider and gone back, in minor units; `booked`: what the ledger has of it for certain."""

    currency: str
    received_booked_minor: int
    received_minor: int
    refunded_booked_minor: int
    refunded_minor: int


class UnwantedReceipt(NamedTuple):
    """Money that no order stands for, and what of it has not gone back and is not on its way, in minor units."""

    receipt: Receipt
    left_minor: int


class UntoldEvent(NamedTuple):
    """A webhook whose workflow was perhaps not told."""

    provider: str
    event_id: str
    order_id: UUID | None


class MoneyStore:
    """Receipts, refunds and findings in checkout's database."""

    def __init__(self, pool: Pool, report: Callable[[Finding], None]) -> None:
        """report: is told of each finding when it is stored for the first time."""
        self._pool = pool
        self._report = report

    async def read_refund(self, refund_id: UUID) -> StoredRefund:
        """Raises REFUND_NOT_FOUND."""
        async with reading(self._pool) as connection:
            row = await queries.find_refund(connection, refund_id)
            if row is None:
                raise RefundNotFound(refund_id=refund_id)
            refund = refund_of(row)
            receipts = await queries.load_receipts(connection, refund.order_id, *refund.key)
            order = order_of(await queries.load_order(connection, refund.order_id))
        assert order is not None, "a refund's order is there: there is a foreign key"
        receipt = next(each for each in map(receipt_of, receipts) if each.key == refund.key)
        return StoredRefund(refund, receipt, order.draft.customer_id, order.state in IN_FLIGHT)

    async def read_order_money(self, order_id: UUID) -> OrderMoney:
        """Raises ORDER_NOT_FOUND."""
        found = await self.find_order_money(order_id)
        if found is None:
            raise OrderNotFound(order_id=order_id)
        return found

    async def find_order_money(self, order_id: UUID) -> OrderMoney | None:
        """None: the order is unknown."""
        async with reading(self._pool) as connection:
            if await queries.find_order_state(connection, order_id) is None:
                return None
            receipts = await queries.load_receipts(connection, order_id, None, None)
            refunds = await queries.load_refunds(connection, order_id)
        oldest_first = sorted(map(receipt_of, receipts), key=lambda each: (each.created_at, each.key))
        return OrderMoney(oldest_first, [refund_of(row) for row in refunds])

    async def find_receipt(self, key: ReceiptKey) -> Receipt | None:
        """None when it is unknown."""
        async with reading(self._pool) as connection:
            row = await queries.find_receipt(connection, *key)
        return None if row is None else receipt_of(row)

    async def list_receipts(self, provider: str, since: datetime, until: datetime) -> list[Receipt]:
        """Receipts that were paid in this time, in no particular order."""
        async with reading(self._pool) as connection:
            return [receipt_of(row) for row in await queries.list_receipts(connection, provider, since, until)]

    async def list_findings(self, after_number: int, count_max: int) -> list[StoredFinding]:
        """In the order in which they were stored, from behind `after_number` on."""
        async with reading(self._pool) as connection:
            rows = await queries.list_findings(connection, after_number, count_max)
        return [
            StoredFinding(
                row["finding_number"],
                Finding(FindingKind(row["kind"]), row["provider"], row["subject"], row["order_id"], row["details"]),
                row["found_at"],
            )
            for row in rows
        ]

    async def store_findings(self, findings: Iterable[Finding]) -> None:
        """Those that are new."""
        found = list(findings)

        async def work(connection: Connection) -> list[Finding]:
            return await write_findings(connection, found)

        for finding in await in_transaction(self._pool, work) if found else []:
            self._report(finding)

    async def read_holdings(self, provider: str) -> list[Holding]:
        """What the provider should hold for us by our rows, per currency."""
        async with reading(self._pool) as connection:
            return [Holding(*row.values()) for row in await queries.sum_holdings(connection, provider)]

    async def find_unreturned(self, count_max: int) -> list[UnwantedReceipt]:
        """Money that no order stands for, of which something is left that has yet to be given back, oldest first."""
        async with reading(self._pool) as connection:
            rows = await queries.find_unreturned(connection, count_max)
        return [UnwantedReceipt(receipt_of(row), row["left_minor"]) for row in rows]

    async def find_uncompleted_refunds(self, after: UUID, count_max: int) -> list[UUID]:
        """Refunds that are not booked, in the order of their ids, from behind this one on."""
        async with reading(self._pool) as connection:
            rows = await queries.find_uncompleted_refunds(connection, after, count_max)
        return [row["refund_id"] for row in rows]

    async def find_unwatched(self, after: UUID, count_max: int) -> list[UUID]:
        """Orders whose pay page could not be closed and is still open at its provider, from behind this one on."""
        async with reading(self._pool) as connection:
            rows = await queries.find_unwatched(connection, after, count_max)
        return [row["order_id"] for row in rows]

    async def find_untold_events(self, older_than_s: float, count_max: int) -> list[UntoldEvent]:
        """Webhooks that were stored a while ago and not told, oldest first."""
        async with reading(self._pool) as connection:
            rows = await queries.find_untold_events(connection, older_than_s, count_max)
        return [UntoldEvent(*row.values()) for row in rows]

    async def mark_told(self, provider: str, event_id: str) -> None:
        """The event's workflow was told. When a crash takes the mark away, it is told once more."""

        async def work(connection: Connection) -> None:
            await queries.commit_without_waiting(connection)
            await queries.mark_told(connection, provider, event_id)

        await in_transaction(self._pool, work)

"""What checkout asks of its database: commands on orders, products and prices made, reads."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from services.checkout.domain.commands import ApplyNews, Command, ReceiveEvent, RecordSession
from services.checkout.domain.decide import decide
from services.checkout.domain.findings import Finding
from services.checkout.domain.orders import Order
from services.checkout.domain.payments import Payment
from services.checkout.domain.prices import Price, Product, check_same_price, check_same_product
from services.checkout.domain.state import InFlight
from services.checkout.errors import OrderNotFound, PaymentIdTaken, ProductNotFound
from services.checkout.store.load import load, load_in_flight, load_prices, order_id_of
from services.checkout.store.rows import order_of, payment_of
from services.checkout.store.statements import queries
from services.checkout.store.write import write
from services.runtime.database import Connection, Pool, in_transaction, reading
from services.runtime.errors import ServiceError

Result = TypeVar("Result")


class StoredOrder(NamedTuple):
    """An order and its payment at one moment."""

    order: Order
    payment: Payment | None


class CheckoutStore:
    """Checkout's database."""

    def __init__(self, pool: Pool, report: Callable[[Finding], None]) -> None:
        """report: is told of each finding when it is stored for the first time."""
        self._pool = pool
        self._report = report
        self._fingerprint_key: bytes | None = None

    async def check(self) -> None:
        """Raises what the database says when it is not there or its tables are not."""
        async with reading(self._pool) as connection:
            await queries.check_tables(connection)

    async def fingerprint_key(self) -> bytes:
        """The secret that requests are fingerprinted with: the same for ever and for all who share the database."""
        if self._fingerprint_key is None:
            async with reading(self._pool) as connection:
                row = await queries.read_fingerprint_key(connection)
            self._fingerprint_key = row["key"]
        return self._fingerprint_key

    async def execute(self, command: Command[Result]) -> Result:
        """Locks the customer, loads, decides, writes, commits. Raises the command's refusals, PAYMENT_ID_TAKEN."""

        async def work(connection: Connection) -> tuple[Result, list[Finding]]:
            state = await load(connection, command)
            change = decide(command, state)
            return change.result, await write(connection, state, change)

        result, found = await in_transaction(self._pool, work, error_for_constraint=partial(_error_of, command))
        for finding in found:
            self._report(finding)
        return result

    async def find_order(self, order_id: UUID) -> StoredOrder | None:
        """The order as it stands; None when it is unknown."""
        async with reading(self._pool) as connection:
            row = await queries.load_order(connection, order_id)
        order = order_of(row)
        return None if order is None else StoredOrder(order, payment_of(row))

    async def read_order(self, order_id: UUID) -> StoredOrder:
        """The order as it stands. Raises ORDER_NOT_FOUND."""
        stored = await self.find_order(order_id)
        if stored is None:
            raise OrderNotFound(order_id=order_id)
        return stored

    async def find_in_flight(self, customer_id: UUID) -> InFlight | None:
        """The order that holds the customer's one slot."""
        async with reading(self._pool) as connection:
            return await load_in_flight(connection, customer_id)

    async def count_placed_orders(self, customer_id: UUID, *, by: datetime | None = None) -> int:
        """How many orders the customer has placed, by now or by a moment."""
        async with reading(self._pool) as connection:
            row = await queries.count_placed_orders(connection, customer_id, by)
        orders_placed: int = row["orders_placed"]
        return orders_placed

    async def find_open_orders(self, after: UUID, unchanged_for_s: int, count_max: int) -> list[UUID]:
        """Orders that are neither placed nor undone, by their ids, from behind `after` on."""
        async with reading(self._pool) as connection:
            rows = await queries.find_open_orders(connection, after, float(unchanged_for_s), count_max)
        return [row["order_id"] for row in rows]

    async def find_order_of_session(self, provider: str, session_id: str) -> UUID | None:
        """The order whose pay page this is; None when it is no page of ours."""
        async with reading(self._pool) as connection:
            row = await queries.find_order_of_session(connection, provider, session_id)
        return None if row is None else row["order_id"]

    async def read_prices(self, price_ids: list[UUID]) -> Mapping[UUID, Price]:
        """Those of the prices that exist."""
        async with reading(self._pool) as connection:
            return await load_prices(connection, price_ids)

    async def create_product(self, product: Product) -> None:
        """Stores it, or finds it stored. Raises PRODUCT_EXISTS_WITH_DIFFERENT_FIELD."""

        async def work(connection: Connection) -> None:
            for row in await queries.load_products(connection, [product.product_id]):
                check_same_product(Product(**row), product)
                return
            await queries.insert_product(connection, *product)

        await in_transaction(self._pool, work)

    async def create_price(self, price: Price) -> None:
        """Stores it, or finds it stored. Raises PRODUCT_NOT_FOUND, PRICE_EXISTS_WITH_DIFFERENT_FIELD."""

        async def work(connection: Connection) -> None:
            for stored in (await load_prices(connection, [price.price_id])).values():
                check_same_price(stored, price)
                return
            if not await queries.load_products(connection, [price.product_id]):
                raise ProductNotFound(product_id=price.product_id)
            await queries.insert_price(connection, *price)

        await in_transaction(self._pool, work)


def _error_of(command: Command[Any], constraint: str) -> ServiceError | None:
    """A provider that gives two orders one page or one payment is not believed."""
    if constraint not in ("payments_session_key", "payments_provider_payment_key"):
        return None
    if isinstance(command, RecordSession):
        return PaymentIdTaken(taken_id=command.session.session_id, order_id=command.order_id)
    news = command.news if isinstance(command, ApplyNews | ReceiveEvent) else None
    return PaymentIdTaken(taken_id=(news and news.provider_payment_id) or "", order_id=order_id_of(command))

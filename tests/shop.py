"""A calling service in tests: sells things through the public API, and looks at what is left behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import aiohttp
import grpc

from deploy.local.stack import Stack
from quittance.checkout.v1 import checkout_pb2
from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceStub
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2, vouchers_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from services.runtime.channels import open_channel
from services.runtime.grpc_errors import Refusal, refusal_of

Result = TypeVar("Result")

CURRENCY = "OMR"
# 50 OMR: the order of the requirements' own example.
PRICE_MINOR = 50_000


_ids: Iterator[UUID] = iter(uuid4, None)


def fresh_id() -> str:
    """An id that nobody has used."""
    return str(next(_ids))


@contextmanager
def repeatable_ids(seed: str) -> Iterator[None]:
    """Ids that are the same whenever the seed is; for one use in one database."""
    global _ids  # noqa: PLW0603 - of this process, like uuid4
    dice, before = random.Random(seed), _ids
    _ids = iter(lambda: UUID(int=dice.getrandbits(128), version=4), None)
    try:
        yield
    finally:
        _ids = before


async def patiently(call: Callable[[], Awaitable[Result]], *, within_s: float = 60) -> Result:
    """Does as people do: what cannot be reached just now is tried again."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await call()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.1)


class Shop:
    """Stubs of all three services, a product for 50 OMR, and short words for what tests do all the time."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._exits = AsyncExitStack()
        self.ledger: LedgerServiceStub
        self.campaigns: CampaignsServiceStub
        self.codes: CodesServiceStub
        self.checkout: CheckoutServiceStub
        self.http: aiohttp.ClientSession
        self.price_id = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            channels = [
                await exits.enter_async_context(open_channel(self._stack.address(name)))
                for name in ("ledger", "vouchers", "checkout")
            ]
            self.ledger = LedgerServiceStub(channels[0])
            self.campaigns = CampaignsServiceStub(channels[1])
            self.codes = CodesServiceStub(channels[1])
            self.checkout = CheckoutServiceStub(channels[2])
            self.http = await exits.enter_async_context(aiohttp.ClientSession())
            self.price_id = await self.new_price(PRICE_MINOR)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    # What a merchant does ------------------------------------------------------------------------------------------

    async def new_price(self, amount_minor: int, currency: str = CURRENCY) -> str:
        """A new product with one price; answers the price's id."""
        product = checkout_pb2.Product(product_id=fresh_id(), name="A walk")
        await self.checkout.CreateProduct(checkout_pb2.CreateProductRequest(product=product))
        price = checkout_pb2.Price(
            price_id=fresh_id(), product_id=product.product_id, currency=currency, unit_amount_minor=amount_minor
        )
        await self.checkout.CreatePrice(checkout_pb2.CreatePriceRequest(price=price))
        return price.price_id

    async def credit_voucher(self, amount_minor: int = 10_000, *, uses_max: int = 1) -> str:
        """A campaign with one code that grants credits; answers the code."""
        effect = campaign_pb2.CreditGrantEffect(amount=money_pb2.Money(amount_minor=amount_minor, currency=CURRENCY))
        return await self._voucher(campaign_pb2.Campaign(credit_grant=effect), uses_max)

    async def discount_voucher(self, amount_minor: int = 5_000, *, uses_max: int = 1, **rules: Any) -> str:
        """A campaign with one code that takes an amount off; answers the code."""
        effect = campaign_pb2.AmountOffEffect(amount=money_pb2.Money(amount_minor=amount_minor, currency=CURRENCY))
        return await self._voucher(campaign_pb2.Campaign(amount_off=effect, **rules), uses_max)

    async def _voucher(self, campaign: campaign_pb2.Campaign, uses_max: int) -> str:
        campaign.campaign_id = fresh_id()
        campaign.name = "Test"
        await self.campaigns.CreateCampaign(campaigns_pb2.CreateCampaignRequest(campaign=campaign))
        code = f"WALK-{fresh_id()[:13].upper()}"
        voucher = codes_pb2.Voucher(
            voucher_id=fresh_id(), campaign_id=campaign.campaign_id, code=code, uses_max=uses_max
        )
        await self.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))
        return code

    async def give_credits(self, customer_id: str, amount_minor: int) -> None:
        """Paid credits in the customer's wallet."""
        grant = ledger_pb2.GrantRequest(
            grant_id=fresh_id(),
            amount_minor=amount_minor,
            category=ledger_pb2.CREDIT_CATEGORY_PAID,
            source_account="clearing:test",
        )
        await self.ledger.GrantCredits(
            ledger_pb2.GrantCreditsRequest(owner_id=customer_id, currency=CURRENCY, grant=grant, reason="topup")
        )

    # What a customer does ------------------------------------------------------------------------------------------

    async def order(
        self,
        customer_id: str,
        codes: Sequence[str] = (),
        *,
        use_credits: bool = True,
        **fields: Any,
    ) -> checkout_pb2.PlaceOrderRequest:
        """A quoted order, ready to be placed."""
        lines = [checkout_pb2.LineRequest(price_id=self.price_id, quantity=1)]
        quote = await self.checkout.QuoteOrder(
            checkout_pb2.QuoteOrderRequest(
                customer_id=customer_id,
                currency=CURRENCY,
                lines=lines,
                voucher_codes=codes,
                use_credits=use_credits,
            )
        )
        request = checkout_pb2.PlaceOrderRequest(
            order_id=fresh_id(),
            customer_id=customer_id,
            currency=CURRENCY,
            lines=lines,
            voucher_codes=codes,
            use_credits=use_credits,
            expected=quote.breakdown,
        )
        request.MergeFrom(checkout_pb2.PlaceOrderRequest(**fields))
        return request

    async def place(self, request: checkout_pb2.PlaceOrderRequest, *, timeout_s: float = 60) -> checkout_pb2.Order:
        """Places an order; raises what the API raises."""
        return (await self.checkout.PlaceOrder(request, timeout=timeout_s)).order

    async def refused(self, request: checkout_pb2.PlaceOrderRequest, *, timeout_s: float = 60) -> Refusal:
        """Places an order that is bound to be refused."""
        try:
            order = await self.place(request, timeout_s=timeout_s)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"the order was not refused but is {checkout_pb2.OrderState.Name(order.state)}")

    async def on_pay_page(self, url: str, action: str) -> None:
        """Presses a button of the pay page: pay, refuse, decline or walk_away."""

        async def press() -> None:
            async with self.http.post(url, data={"action": action}) as response:
                assert response.status == 200, f"the pay page answered {response.status}"

        await patiently(press)

    async def cancel(self, order_id: str) -> checkout_pb2.CancelOrderResponse:
        """Cancels an order; raises what the API raises."""
        return await self.checkout.CancelOrder(checkout_pb2.CancelOrderRequest(order_id=order_id), timeout=60)

    # What is left behind -------------------------------------------------------------------------------------------

    async def read_order(self, order_id: str) -> checkout_pb2.Order:
        """The order as it stands."""
        request = checkout_pb2.GetOrderRequest(order_id=order_id)
        return (await patiently(lambda: self.checkout.GetOrder(request))).order

    async def until_state(
        self, order_id: str, state: checkout_pb2.OrderState.ValueType, *, within_s: float = 60
    ) -> checkout_pb2.Order:
        """The order when it has come to this state; only a hang makes it fail."""
        async with asyncio.timeout(within_s):
            while True:
                order = await self.read_order(order_id)
                if order.state == state:
                    return order
                await asyncio.sleep(0.05)

    async def uses(self, code: str) -> int:
        """How many uses of the code count."""
        return (await self.read_voucher(code)).voucher.uses

    async def read_voucher(self, code: str) -> codes_pb2.GetVoucherResponse:
        """The voucher with its redemptions."""
        reference = vouchers_pb2.VoucherReference(code=code)
        request = codes_pb2.GetVoucherRequest(voucher=reference)
        return await patiently(lambda: self.codes.GetVoucher(request))

    async def wallet(self, customer_id: str) -> ledger_pb2.GetWalletResponse:
        """The customer's wallet."""
        request = ledger_pb2.GetWalletRequest(owner_id=customer_id, currency=CURRENCY)
        return await patiently(lambda: self.ledger.GetWallet(request))

    async def transfers(self, customer_id: str, account: str = "") -> list[ledger_pb2.Transfer]:
        """Transfers of the customer's grants, or of one account of the customer's book; newest first."""
        request = ledger_pb2.ListTransfersRequest(
            owner_id=customer_id, currency=CURRENCY, account=account, page_size=1000
        )
        response = await patiently(lambda: self.ledger.ListTransfers(request))
        return list(response.transfers)

    async def sandbox(self, mode: str, **more: object) -> None:
        """Sets what the sandbox provider does with requests from now on."""
        url = f"http://{self._stack.address('sandbox')}/control"
        async with self.http.post(url, json={"mode": mode, **more}) as response:
            assert response.status == 200, await response.text()

"""A shop that sells through the public API and tells what it does: each method is one call, shown as one line."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import aiohttp
import grpc

from deploy.local.demo.report import Report
from deploy.local.sandbox_provider.money import format_amount
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
from services.runtime.ids import new_id

CURRENCY = "OMR"
CALL_TIMEOUT_S = 15.0
PLACE_TIMEOUT_S = 60.0
POLL_EVERY_S = 0.1
ENTRIES_MAX = 1000


def money(amount_minor: int) -> str:
    """An amount of the demo's currency: 10000 is "10.000 OMR"."""
    return format_amount(amount_minor, CURRENCY)


def state_name(state: checkout_pb2.OrderState.ValueType) -> str:
    """An order's state in small letters."""
    return checkout_pb2.OrderState.Name(state).removeprefix("ORDER_STATE_").lower().replace("_", " ")


class Shop:
    """Stubs of the three services and the pay page's form; use as a context on a started stack."""

    def __init__(self, stack: Stack, report: Report) -> None:
        self._stack = stack
        self._report = report
        self._exits = AsyncExitStack()
        self.price_id = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            channels = [
                await exits.enter_async_context(open_channel(self._stack.address(name)))
                for name in ("ledger", "vouchers", "checkout")
            ]
            self._ledger = LedgerServiceStub(channels[0])
            self._campaigns = CampaignsServiceStub(channels[1])
            self._codes = CodesServiceStub(channels[1])
            self._checkout = CheckoutServiceStub(channels[2])
            self._http = await exits.enter_async_context(aiohttp.ClientSession())
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def offer(self, name: str, amount_minor: int) -> None:
        """Sells one thing from now on."""
        product = checkout_pb2.Product(product_id=str(new_id()), name=name)
        await _sent(self._checkout.CreateProduct, checkout_pb2.CreateProductRequest(product=product))
        price = checkout_pb2.Price(
            price_id=str(new_id()), product_id=product.product_id, currency=CURRENCY, unit_amount_minor=amount_minor
        )
        await _sent(self._checkout.CreatePrice, checkout_pb2.CreatePriceRequest(price=price))
        self.price_id = price.price_id
        self._report.call("checkout.CreatePrice", f"{name}, a piece", money(amount_minor))

    async def has_voucher(self, code: str) -> bool:
        """Whether the code is taken, for example by an earlier run."""
        reference = vouchers_pb2.VoucherReference(code=code)
        try:
            await _sent(self._codes.GetVoucher, codes_pb2.GetVoucherRequest(voucher=reference))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def credit_voucher(self, code: str, amount_minor: int) -> None:
        """A code for one use that puts credits into the wallet."""
        effect = campaign_pb2.CreditGrantEffect(amount=money_pb2.Money(amount_minor=amount_minor, currency=CURRENCY))
        await self._voucher(code, campaign_pb2.Campaign(credit_grant=effect))
        self._report.call("vouchers.CreateVoucher", code, f"grants {money(amount_minor)} of credit, once")

    async def discount_voucher(self, code: str, amount_minor: int) -> None:
        """A code for one use that takes an amount off."""
        effect = campaign_pb2.AmountOffEffect(amount=money_pb2.Money(amount_minor=amount_minor, currency=CURRENCY))
        await self._voucher(code, campaign_pb2.Campaign(amount_off=effect))
        self._report.call("vouchers.CreateVoucher", code, f"takes {money(amount_minor)} off, once")

    async def quote(
        self, customer_id: str, codes: Sequence[str], *, payment_window_s: int = 0
    ) -> checkout_pb2.PlaceOrderRequest:
        """What one piece costs this customer with these codes, ready to be placed."""
        wanted = checkout_pb2.QuoteOrderRequest(
            customer_id=customer_id,
            currency=CURRENCY,
            lines=[checkout_pb2.LineRequest(price_id=self.price_id, quantity=1)],
            voucher_codes=codes,
            use_credits=True,
        )
        quote = await _sent(self._checkout.QuoteOrder, wanted)
        parts = [f"{money(quote.breakdown.amount_due_minor)} to pay"]
        parts += ["code already in the wallet" for voucher in quote.vouchers if voucher.already_in_wallet]
        self._report.call("checkout.QuoteOrder", " + ".join(codes) or "no voucher", ", ".join(parts))
        return checkout_pb2.PlaceOrderRequest(
            order_id=str(new_id()),
            customer_id=customer_id,
            currency=CURRENCY,
            lines=wanted.lines,
            voucher_codes=codes,
            use_credits=True,
            expected=quote.breakdown,
            payment_window_s=payment_window_s,
        )

    async def place(self, request: checkout_pb2.PlaceOrderRequest) -> checkout_pb2.Order:
        """Places the order. Raises AssertionError when it is refused."""
        answer = await self._place(request)
        assert isinstance(answer, checkout_pb2.Order), f"PlaceOrder was refused: {answer}"
        return answer

    async def place_refused(self, request: checkout_pb2.PlaceOrderRequest) -> Refusal:
        """Places an order that is to be refused. Raises AssertionError when it is not."""
        answer = await self._place(request)
        assert isinstance(answer, Refusal), "PlaceOrder was not refused"
        return answer

    async def press(self, url: str, action: str) -> None:
        """Presses a button of the pay page."""
        async with self._http.post(url, data={"action": action}) as page:
            assert page.status == 200, f"the pay page answered {page.status}"
        self._report.call("pay page", "customer presses", action.replace("_", " "))

    async def order(self, order_id: str) -> checkout_pb2.Order:
        """The order as checkout has it; not shown."""
        request = checkout_pb2.GetOrderRequest(order_id=order_id)
        order: checkout_pb2.Order = (await _sent(self._checkout.GetOrder, request)).order
        return order

    async def order_in(
        self, order_id: str, *states: checkout_pb2.OrderState.ValueType, within_s: float
    ) -> checkout_pb2.Order:
        """The order when it has come to one of the states. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            order = await self.order(order_id)
            while order.state not in states:
                await asyncio.sleep(POLL_EVERY_S)
                order = await self.order(order_id)
        self._report.call("checkout.GetOrder", f"order {order_id}", state_name(order.state))
        return order

    async def voucher(self, code: str) -> codes_pb2.GetVoucherResponse:
        """The voucher with its redemptions; not shown."""
        reference = vouchers_pb2.VoucherReference(code=code)
        request = codes_pb2.GetVoucherRequest(voucher=reference)
        response: codes_pb2.GetVoucherResponse = await _sent(self._codes.GetVoucher, request)
        return response

    async def wallet(self, customer_id: str) -> ledger_pb2.GetWalletResponse:
        """The customer's wallet; not shown."""
        request = ledger_pb2.GetWalletRequest(owner_id=customer_id, currency=CURRENCY)
        response: ledger_pb2.GetWalletResponse = await _sent(self._ledger.GetWallet, request)
        return response

    async def entries(self, customer_id: str, account: str = "") -> list[ledger_pb2.Transfer]:
        """Entries of the customer's grants, or of one account of the customer's book, newest first; not shown."""
        request = ledger_pb2.ListTransfersRequest(
            owner_id=customer_id, currency=CURRENCY, account=account, page_size=ENTRIES_MAX
        )
        return list((await _sent(self._ledger.ListTransfers, request)).transfers)

    async def sandbox_mode(self, mode: str, **more: float) -> None:
        """Turns the switch of the sandbox payment provider; not shown."""
        url = f"http://{self._stack.address('sandbox')}/control"
        async with self._http.post(url, json={"mode": mode, **more}) as answer:
            assert answer.status == 200, f"the sandbox provider answered {answer.status}"

    async def until_provider_is_asked(self, within_s: float) -> None:
        """Returns while the provider works on a request of checkout. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                async with self._http.get(f"http://{self._stack.address('sandbox')}/journal") as answer:
                    requests = (await answer.json())["requests"]
                if requests and requests[-1]["status"] is None:
                    return
                await asyncio.sleep(POLL_EVERY_S)

    async def _voucher(self, code: str, campaign: campaign_pb2.Campaign) -> None:
        campaign.campaign_id = str(new_id())
        campaign.name = "Demo"
        await _sent(self._campaigns.CreateCampaign, campaigns_pb2.CreateCampaignRequest(campaign=campaign))
        voucher = codes_pb2.Voucher(voucher_id=str(new_id()), campaign_id=campaign.campaign_id, code=code, uses_max=1)
        await _sent(self._codes.CreateVoucher, codes_pb2.CreateVoucherRequest(voucher=voucher))

    async def _place(self, request: checkout_pb2.PlaceOrderRequest) -> checkout_pb2.Order | Refusal:
        asked = f"order {request.order_id}"
        try:
            response = await _sent(self._checkout.PlaceOrder, request, timeout_s=PLACE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            pending = ", undo pending" if refusal.metadata.get("undo_pending") == "true" else ""
            answered = f"{refusal.status.name} {refusal.reason}{pending}"
            self._report.call("checkout.PlaceOrder", asked, answered, is_refusal=True)
            return refusal
        order: checkout_pb2.Order = response.order
        self._report.call("checkout.PlaceOrder", asked, state_name(order.state))
        return order


async def _sent(method: Any, request: Any, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """One call; it waits for a server that is just being started."""
    return await method(request, timeout=timeout_s, wait_for_ready=True)

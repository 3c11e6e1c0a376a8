"""Requests as the tests make them: everything valid and filled in, each test names what it is about."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc

from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2
from quittance.checkout.v1.checkout_pb2_grpc import CheckoutServiceStub
from quittance.checkout.v1.order_steps_pb2_grpc import OrderStepsServiceStub
from quittance.errors.v1 import refusal_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from quittance.money.v1 import money_pb2
from quittance.vouchers.v1 import campaign_pb2, campaigns_pb2, codes_pb2
from quittance.vouchers.v1.campaigns_pb2_grpc import CampaignsServiceStub
from quittance.vouchers.v1.codes_pb2_grpc import CodesServiceStub
from services.runtime.grpc_errors import Refusal, refusal_of
from services.runtime.ids import new_id

CURRENCY = "OMR"
PRICE_MINOR = 50_000


def fresh_id() -> str:
    """An id that nobody has used."""
    return str(new_id())


@dataclass
class Refused:
    """What a call was answered instead of a result; filled in when the block is left."""

    refusal: Refusal = field(init=False)

    @property
    def metadata(self) -> dict[str, str]:
        """The values that the refusal carries."""
        return dict(self.refusal.metadata)


@asynccontextmanager
async def refused(reason: str) -> AsyncIterator[Refused]:
    """The block must end with a refusal for this reason."""
    result = Refused()
    try:
        yield result
    except grpc.aio.AioRpcError as error:
        result.refusal = refusal_of(error)
        assert result.refusal.reason == reason, result.refusal
    else:
        raise AssertionError(f"not refused with {reason}")


def some_refusal(reason: str = "PAYMENT_EXPIRED") -> refusal_pb2.Refusal:
    """Why a workflow would end an order."""
    return refusal_pb2.Refusal(status=9, domain="checkout.quittance", reason=reason, metadata={"a": "b"}, message="No.")


class Shop:
    """Stubs of all services, and short words for what tests do all the time."""

    def __init__(
        self,
        orders: CheckoutServiceStub,
        steps: OrderStepsServiceStub,
        ledger: LedgerServiceStub,
        campaigns: CampaignsServiceStub,
        codes: CodesServiceStub,
    ) -> None:
        self.orders = orders
        self.steps = steps
        self.ledger = ledger
        self.campaigns = campaigns
        self.codes = codes

    # Goods, vouchers, wallets

    async def price(self, amount_minor: int = PRICE_MINOR, currency: str = CURRENCY) -> str:
        """A new product with one price; answers the price's id."""
        product = checkout_pb2.Product(product_id=fresh_id(), name="A walk")
        await self.orders.CreateProduct(checkout_pb2.CreateProductRequest(product=product))
        price = checkout_pb2.Price(
            price_id=fresh_id(), product_id=product.product_id, currency=currency, unit_amount_minor=amount_minor
        )
        await self.orders.CreatePrice(checkout_pb2.CreatePriceRequest(price=price))
        return price.price_id

    async def code(self, *, credit_minor: int = 0, off_minor: int = 0, **campaign: Any) -> str:
        """A code that grants credits or takes an amount off."""
        amount = money_pb2.Money(amount_minor=credit_minor or off_minor, currency=CURRENCY)
        effect: dict[str, Any] = (
            {"credit_grant": campaign_pb2.CreditGrantEffect(amount=amount)}
            if credit_minor
            else {"amount_off": campaign_pb2.AmountOffEffect(amount=amount)}
        )
        rules = campaign_pb2.Campaign(campaign_id=fresh_id(), name="Test", **effect, **campaign)
        await self.campaigns.CreateCampaign(campaigns_pb2.CreateCampaignRequest(campaign=rules))
        code = f"WALK-{new_id().hex[-12:].upper()}"
        voucher = codes_pb2.Voucher(voucher_id=fresh_id(), campaign_id=rules.campaign_id, code=code)
        await self.codes.CreateVoucher(codes_pb2.CreateVoucherRequest(voucher=voucher))
        return code

    async def give_credits(self, customer_id: str, amount_minor: int) -> None:
        """Paid credits for the customer's wallet."""
        grant = ledger_pb2.GrantRequest(
            grant_id=fresh_id(),
            amount_minor=amount_minor,
            category=ledger_pb2.CREDIT_CATEGORY_PAID,
            source_account="clearing:test",
        )
        await self.ledger.GrantCredits(
            ledger_pb2.GrantCreditsRequest(owner_id=customer_id, currency=CURRENCY, grant=grant, reason="topup")
        )

    # The public API

    async def quote(self, **fields: Any) -> checkout_pb2.QuoteOrderResponse:
        """What an order of one walk would cost, where the fields do not say otherwise."""
        defaults: dict[str, Any] = {"customer_id": fresh_id(), "currency": CURRENCY}
        if "lines" not in fields:
            defaults["lines"] = [checkout_pb2.LineRequest(price_id=await self.price(), quantity=1)]
        return await self.orders.QuoteOrder(checkout_pb2.QuoteOrderRequest(**(defaults | fields)))

    async def request(self, codes: Sequence[str] = (), **fields: Any) -> checkout_pb2.PlaceOrderRequest:
        """A quoted order, ready to be placed."""
        customer_id = fields.pop("customer_id", fresh_id())
        lines = fields.pop("lines", None) or [checkout_pb2.LineRequest(price_id=await self.price(), quantity=1)]
        wanted: dict[str, Any] = {
            "customer_id": customer_id,
            "currency": CURRENCY,
            "lines": lines,
            "voucher_codes": codes,
            "use_credits": True,
        }
        if "expected" not in fields:
            fields["expected"] = (await self.quote(**wanted)).breakdown
        return checkout_pb2.PlaceOrderRequest(**(wanted | {"order_id": fresh_id()} | fields))

    async def place(self, request: checkout_pb2.PlaceOrderRequest) -> checkout_pb2.Order:
        """The order, if there were a Temporal."""
        return (await self.orders.PlaceOrder(request, timeout=10)).order

    async def cancel(self, order_id: str) -> checkout_pb2.CancelOrderResponse:
        """Cancels the order, as far as that needs no Temporal."""
        return await self.orders.CancelOrder(checkout_pb2.CancelOrderRequest(order_id=order_id), timeout=10)

    async def read_order(self, order_id: str) -> checkout_pb2.Order:
        """The order as it stands."""
        return (await self.orders.GetOrder(checkout_pb2.GetOrderRequest(order_id=order_id))).order

    # The steps, as a workflow takes them

    async def draft(self, **fields: Any) -> order_workflow_pb2.OrderDraft:
        """An order of one walk."""
        lines = fields.pop("lines", None) or [checkout_pb2.LineRequest(price_id=await self.price(), quantity=1)]
        expected = checkout_pb2.PriceBreakdown(subtotal_minor=PRICE_MINOR, amount_due_minor=PRICE_MINOR)
        defaults: dict[str, Any] = {
            "order_id": fresh_id(),
            "customer_id": fresh_id(),
            "currency": CURRENCY,
            "lines": lines,
            "expected": expected,
            "payment_provider": "sandbox",
            "payment_window_s": 600,
            "place_timeout_s": 60,
            "request_fingerprint": new_id().bytes,
        }
        return order_workflow_pb2.OrderDraft(**(defaults | fields))

    async def create(self, draft: order_workflow_pb2.OrderDraft) -> order_steps_pb2.CreateOrderResponse:
        """The first step."""
        return await self.steps.CreateOrder(order_steps_pb2.CreateOrderRequest(draft=draft))

    async def settle_price(self, order_id: str, *, credits_held_minor: int = 0, **fields: Any) -> None:
        """The second."""
        await self.steps.SettlePrice(
            order_steps_pb2.SettlePriceRequest(order_id=order_id, credits_held_minor=credits_held_minor, **fields)
        )

    async def priced(self, **fields: Any) -> order_workflow_pb2.OrderDraft:
        """An order whose price is settled."""
        draft = await self.draft(**fields)
        await self.create(draft)
        await self.settle_price(draft.order_id)
        return draft

    async def open(self, order_id: str) -> checkout_pb2.Payment:
        """Opens the pay page."""
        request = order_steps_pb2.OpenPaymentSessionRequest(order_id=order_id)
        return (await self.steps.OpenPaymentSession(request, timeout=10)).payment

    async def hand_over(self, order_id: str) -> datetime:
        """Hands it over; answers when it closes."""
        answer = await self.steps.HandOver(order_steps_pb2.HandOverRequest(order_id=order_id))
        return answer.payment_expire_time.ToDatetime(tzinfo=UTC)

    async def awaiting_payment(self, **fields: Any) -> checkout_pb2.Order:
        """An order whose pay page is handed over."""
        draft = await self.priced(**fields)
        await self.open(draft.order_id)
        await self.hand_over(draft.order_id)
        return await self.read_order(draft.order_id)

    async def close(self, order_id: str) -> str:
        """Closes the pay page; answers CLOSED or PAID."""
        answer = await self.steps.ClosePaymentSession(order_steps_pb2.ClosePaymentSessionRequest(order_id=order_id))
        return order_steps_pb2.CloseOutcome.Name(answer.outcome).removeprefix("CLOSE_OUTCOME_")

    async def read_payment(self, order_id: str, *, refresh: bool = False) -> checkout_pb2.Payment:
        """The payment's row, or what the provider says."""
        request = order_steps_pb2.ReadPaymentRequest(order_id=order_id, refresh=refresh)
        return (await self.steps.ReadPayment(request)).payment

    async def payment_state(self, order_id: str) -> str:
        """Where the payment stands, without asking the provider."""
        state = (await self.read_payment(order_id)).state
        return checkout_pb2.PaymentState.Name(state).removeprefix("PAYMENT_STATE_")

    async def begin_settling(self, order_id: str) -> order_steps_pb2.BeginSettlingResponse:
        """The pivot."""
        return await self.steps.BeginSettling(order_steps_pb2.BeginSettlingRequest(order_id=order_id))

    async def standing(self, order_id: str) -> order_steps_pb2.ReadOrderResponse:
        """How far the order came."""
        return await self.steps.ReadOrder(order_steps_pb2.ReadOrderRequest(order_id=order_id))

    async def open_orders(self, *, unchanged_for_s: int = 0, page_size: int = 1000) -> list[str]:
        """All that are open, page by page."""
        found: list[str] = []
        request = order_steps_pb2.ListOpenOrdersRequest(unchanged_for_s=unchanged_for_s, page_size=page_size)
        while True:
            page = await self.steps.ListOpenOrders(request)
            assert len(page.order_ids) <= page_size
            found += page.order_ids
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def complete(self, order_id: str) -> datetime:
        """The last step; answers when the order was placed."""
        answer = await self.steps.CompleteOrder(order_steps_pb2.CompleteOrderRequest(order_id=order_id))
        return answer.place_time.ToDatetime(tzinfo=UTC)

    async def end(
        self,
        draft: order_workflow_pb2.OrderDraft,
        state: checkout_pb2.OrderState.ValueType = checkout_pb2.ORDER_STATE_FAILED,
        reason: str = "PAYMENT_EXPIRED",
        *,
        undo_pending: bool = False,
    ) -> checkout_pb2.OrderState.ValueType:
        """Ends an order without a sale."""
        request = order_steps_pb2.EndOrderRequest(
            draft=draft, order_state=state, refusal=some_refusal(reason), undo_pending=undo_pending
        )
        return (await self.steps.EndOrder(request)).order_state

"""What all parts of the story share: the stack, the shop, the report, and the orders told of so far."""

import secrets
from dataclasses import dataclass, field

from deploy.local.demo.report import Report
from deploy.local.demo.shop import Shop, money
from deploy.local.demo.standing import Standing, newest_entry, show, standing_of
from deploy.local.stack import Stack
from quittance.checkout.v1 import checkout_pb2
from services.runtime.ids import new_id

CODE = "WALK-T38-2138"
PRICE_MINOR = 50_000
CREDIT_MINOR = 10_000
DUE_MINOR = PRICE_MINOR - CREDIT_MINOR

_WITHIN_S = 60.0


def fresh_code(prefix: str) -> str:
    """A code that nobody has used."""
    return f"{prefix}-{secrets.token_hex(3).upper()}"


@dataclass
class Story:
    """Parts of the story are functions of this. `api_key` is what the sandbox provider lets in."""

    stack: Stack
    shop: Shop
    report: Report
    api_key: str
    code: str = CODE
    # Of parts (a) and (b).
    customer_id: str = field(default_factory=lambda: str(new_id()))
    # Order ids by what they are called in links.
    orders: dict[str, str] = field(default_factory=dict)
    # The ledger's newest entry before the latest order.
    _begun_at: int = 0

    async def open_shop(self) -> None:
        """What there has to be before anybody can buy."""
        self.report.part("The shop", "One product for 50 OMR, and a voucher code that gives 10 OMR of credit, once.")
        await self.shop.offer("guided walk", PRICE_MINOR)
        if await self.shop.has_voucher(CODE):
            self.code = fresh_code(CODE)
            self.report.say(f"{CODE} is there from an earlier run on the same data: this run uses {self.code}.")
        await self.shop.credit_voucher(self.code, CREDIT_MINOR)

    async def quote(
        self, called: str, customer_id: str, *codes: str, payment_window_s: int = 0
    ) -> checkout_pb2.PlaceOrderRequest:
        """An order of one piece with these codes, as its customer confirms it; `called` names it in links."""
        self._begun_at = await newest_entry(self.shop, customer_id)
        request = await self.shop.quote(customer_id, codes, payment_window_s=payment_window_s)
        self.orders[called] = request.order_id
        return request

    async def until(
        self, request: checkout_pb2.PlaceOrderRequest, state: checkout_pb2.OrderState.ValueType
    ) -> checkout_pb2.Order:
        """The order when it has come to this state. Raises TimeoutError."""
        return await self.shop.order_in(request.order_id, state, within_s=_WITHIN_S)

    async def look(self, request: checkout_pb2.PlaceOrderRequest, *, within_s: float = _WITHIN_S) -> Standing:
        """What all services say of the latest order once it is quiet, or after `within_s`; shown and answered."""
        standing = await standing_of(self.shop, request, since=self._begun_at, within_s=within_s)
        show(self.report, standing)
        return standing

    def credit_is_kept(self, standing: Standing) -> None:
        """The fact that the first code's credit stays with the customer."""
        kept = (standing.wallet.available_minor, standing.uses[0], standing.redemptions[0])
        what = f"the credit of {money(CREDIT_MINOR)} stays in the wallet, free to spend; its code counts as used"
        self.report.fact(what, kept, (CREDIT_MINOR, "1/1", "kept"))

"""What customers do on the pay pages of Stripe and YooKassa, and the shop at their dashboards, in the same words."""

from typing import Protocol

from services.checkout.payments.amounts import to_stripe
from tests.orchestrator.payment_stack import PaymentStack
from tests.payments.fakes.deliveries import Deliveries
from tests.payments.fakes.faults import Faults
from tests.payments.fakes.journal import Journal
from tests.payments.fakes.stripe_api import StripeDouble
from tests.payments.fakes.yookassa_api import YooKassaDouble, in_text
from tests.shop import CURRENCY, PRICE_MINOR


class Double(Protocol):
    """What both doubles have."""

    journal: Journal
    faults: Faults
    deliveries: Deliveries


class Till(Protocol):
    """A provider as its customers know it; all by the order's id. What is asked of a page that has ended is nothing."""

    @property
    def double(self) -> Double: ...

    def pay(self, order_id: str, amount_minor: int = PRICE_MINOR) -> None: ...

    def decline(self, order_id: str) -> None:
        """The customer's card is refused."""

    def begin_slowly(self, order_id: str) -> None:
        """The customer begins a payment that takes its time."""

    def finish_slowly(self, order_id: str) -> None:
        """It comes through, whatever has become of the order."""

    def abandon(self, order_id: str) -> None:
        """The customer never comes back, which the provider notices at some time."""

    def refund_at_dashboard(self, order_id: str, amount_minor: int) -> None:
        """Somebody in the shop gives money back without us."""


class StripeTill:
    """A declined card leaves the page open; a bank transfer outlives the page."""

    def __init__(self, double: StripeDouble) -> None:
        self.double = double

    def pay(self, order_id: str, amount_minor: int = PRICE_MINOR) -> None:
        session = self.double.session_of(order_id)
        if session["status"] == "open":
            self.double.pay(session, amount=to_stripe(amount_minor, CURRENCY))

    def decline(self, order_id: str) -> None:
        self.double.refuse_card(self.double.session_of(order_id))

    def begin_slowly(self, order_id: str) -> None:
        session = self.double.session_of(order_id)
        if session["status"] == "open":
            self.double.pay_slowly(session)

    def finish_slowly(self, order_id: str) -> None:
        session = self.double.session_of(order_id)
        if session["status"] == "complete":
            self.double.transfer_arrives(session)

    def abandon(self, order_id: str) -> None:
        """Checkout closes the page."""

    def refund_at_dashboard(self, order_id: str, amount_minor: int) -> None:
        session = self.double.session_of(order_id)
        self.double.refund_at_dashboard(
            self.double.intents[session["payment_intent"]], to_stripe(amount_minor, CURRENCY)
        )


class YooKassaTill:
    """A declined card ends the payment; a page cannot be closed, and what is paid there late is paid."""

    def __init__(self, double: YooKassaDouble) -> None:
        self.double = double

    def pay(self, order_id: str, amount_minor: int = PRICE_MINOR) -> None:
        payment = self.double.payment_of(order_id)
        if payment["status"] == "pending":
            self.double.pay(payment, value=in_text(amount_minor, CURRENCY))

    def decline(self, order_id: str) -> None:
        self.double.cancel(self.double.payment_of(order_id))

    def begin_slowly(self, order_id: str) -> None:
        """Nothing that YooKassa would know of."""

    def finish_slowly(self, order_id: str) -> None:
        self.pay(order_id)

    def abandon(self, order_id: str) -> None:
        self.double.cancel(self.double.payment_of(order_id), "expired_on_confirmation")

    def refund_at_dashboard(self, order_id: str, amount_minor: int) -> None:
        self.double.refund_at_dashboard(self.double.payment_of(order_id), in_text(amount_minor, CURRENCY))


def tills_of(stack: PaymentStack) -> dict[str, Till]:
    """Both, by the provider's name."""
    return {"stripe": StripeTill(stack.stripe), "yookassa": YooKassaTill(stack.yookassa)}

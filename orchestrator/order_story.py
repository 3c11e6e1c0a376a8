"""What Temporal's UI tells of an order while it runs: search attributes, and a table of its steps."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2

STATE = SearchAttributeKey.for_keyword("QuittanceState")
STUCK = SearchAttributeKey.for_bool("QuittanceStuck")
AMOUNT_MINOR = SearchAttributeKey.for_int("QuittanceAmountMinor")

# What the namespace must know; those that are not set here are set when an order's workflow is started.
SEARCH_ATTRIBUTES = frozenset(
    {
        STATE.name,
        STUCK.name,
        AMOUNT_MINOR.name,
        "QuittanceOrderId",
        "QuittanceCustomerId",
        "QuittanceCurrency",
        "QuittanceVouchers",
    }
)


class OrderStory:
    """Follows one order. Says nothing that is a secret: no codes, no pay-page address, no personal data."""

    def __init__(self, draft: order_workflow_pb2.OrderDraft) -> None:
        self._draft = draft
        self._done: list[str] = []
        self._was_stuck = False

    def did(self, what: str) -> None:
        """Adds a line to the table of steps."""
        self._done.append(what)

    def enter(self, order_state: checkout_pb2.OrderState.ValueType, breakdown: checkout_pb2.PriceBreakdown) -> None:
        """The order is in a new state."""
        workflow.upsert_search_attributes(
            [STATE.value_set(state_name(order_state)), AMOUNT_MINOR.value_set(breakdown.subtotal_minor)]
        )

    def show(self, order_state: checkout_pb2.OrderState.ValueType, stuck: dict[str, str], undone: list[str]) -> None:
        """Brings the details text up to date, and the search attribute when something became stuck or free."""
        if bool(stuck) is not self._was_stuck:
            self._was_stuck = bool(stuck)
            workflow.upsert_search_attributes([STUCK.value_set(self._was_stuck)])
        rows = [f"| {line} | done |" for line in self._done]
        rows += [f"| {line} | **undone** |" for line in undone]
        rows += [f"| {line} | **stuck**: {why} |" for line, why in stuck.items()]
        workflow.set_current_details(
            f"Order is **{state_name(order_state)}**\n\n| step | outcome |\n|---|---|\n" + "\n".join(rows)
        )


def state_name(order_state: checkout_pb2.OrderState.ValueType) -> str:
    """The state as people write it, for example "awaiting_payment"."""
    return checkout_pb2.OrderState.Name(order_state).removeprefix("ORDER_STATE_").lower()

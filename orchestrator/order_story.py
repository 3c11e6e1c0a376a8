"""What Temporal's UI tells of an order: search attributes, a table that follows its steps, and at the end a memo."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from orchestrator.steps import Step, StepRefused
from quittance.checkout.v1 import checkout_pb2, order_workflow_pb2

ORDER_ID = SearchAttributeKey.for_keyword("QuittanceOrderId")
CUSTOMER_ID = SearchAttributeKey.for_keyword("QuittanceCustomerId")
STATE = SearchAttributeKey.for_keyword("QuittanceState")
STUCK = SearchAttributeKey.for_bool("QuittanceStuck")
VOUCHERS = SearchAttributeKey.for_keyword_list("QuittanceVouchers")
AMOUNT_MINOR = SearchAttributeKey.for_int("QuittanceAmountMinor")
CURRENCY = SearchAttributeKey.for_keyword("QuittanceCurrency")

# What the namespace must know; those that are not set here are set when an order's workflow is started.
SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (
    *(ORDER_ID, CUSTOMER_ID, STATE, STUCK, VOUCHERS, AMOUNT_MINOR, CURRENCY),
)


_ON_ITS_WAY = (
    checkout_pb2.ORDER_STATE_PENDING,
    checkout_pb2.ORDER_STATE_AWAITING_PAYMENT,
    checkout_pb2.ORDER_STATE_SETTLING,
)
# Where an order stands, in a sentence.
_SENTENCES = {
    checkout_pb2.ORDER_STATE_PENDING: "**Being prepared.** Nothing is paid yet, every step can be undone.",
    checkout_pb2.ORDER_STATE_AWAITING_PAYMENT: "**Waiting for the customer to pay.** If nobody does in time, "
    "everything is undone.",
    checkout_pb2.ORDER_STATE_SETTLING: "**Complete, and being placed.** From here on nothing is undone.",
    checkout_pb2.ORDER_STATE_PLACED: "**Placed.** All of its steps are in effect.",
    checkout_pb2.ORDER_STATE_FAILED: "**Failed**",
    checkout_pb2.ORDER_STATE_EXPIRED: "**Expired**",
    checkout_pb2.ORDER_STATE_CANCELLED: "**Cancelled**",
}
_CREDIT_STAYS = " The credit of its vouchers stays with the customer, who had come as far as the pay page."
_OPERATOR = (
    "What is in doubt is tried on and on; what is refused, when its cause is gone and the update `resolve` says so."
)
_UNDO = "UNDO: "
# The UI cuts off what comes last, so that is a line without anything.
_ROOM = "\n\n\u00a0"
# Under this name the whole story is kept, for when no worker is there to tell it.
_MEMO = "Story"


class OrderStory:
    """Follows one order. Says nothing that is a secret: no codes, no pay-page address, no personal data."""

    def __init__(self, progress: order_workflow_pb2.OrderProgress) -> None:
        self._progress = progress
        # Steps that are being tried, and of these the ones that do not get through, and why.
        self._now: list[str] = []
        self._stuck: Mapping[str, str] = {}
        self._was_stuck = False

    @contextmanager
    def step(self, step: Step[Any, Any]) -> Iterator[None]:
        """Tells of a step from its begin to its end."""
        self._now.append(step.summary)
        self._show()
        refused: StepRefused | None = None
        try:
            yield
        except StepRefused as error:
            refused = error
        finally:
            # No more than this: it also happens when the worker puts a waiting workflow out of its memory.
            self._now.remove(step.summary)
        outcome = "undone" if step.summary.startswith(_UNDO) else "done"
        self._add(step.summary, "**refused**" if refused else outcome)
        self._show()
        if refused:
            raise refused

    def enter(self, order_state: checkout_pb2.OrderState.ValueType) -> None:
        """The order is in a new state; when it is its last one, the story is kept."""
        self._progress.order_state = order_state
        workflow.upsert_search_attributes([STATE.value_set(state_name(order_state))])
        if self._is_over():
            lines = [line.replace(" | ", "  ").replace("**", "") for line in self._progress.done_steps]
            workflow.upsert_memo({_MEMO: [self._where_it_stands().replace("**", ""), *lines]})
        self._show()

    def show_stuck(self, stuck: Mapping[str, str]) -> None:
        """Summaries of the steps that do not get through, and why."""
        self._stuck = stuck
        if bool(stuck) is not self._was_stuck:
            self._was_stuck = bool(stuck)
            workflow.upsert_search_attributes([STUCK.value_set(self._was_stuck)])
        self._show()

    def _add(self, what: str, outcome: str) -> None:
        self._progress.done_steps.append(f"{workflow.now():%H:%M:%S} | {_named(what)} | {outcome}")

    def _show(self) -> None:
        if not workflow.in_workflow():
            # The run has been thrown out of the worker's memory; it is told again when it is back.
            return
        rows = [
            *self._progress.done_steps,
            *(f"now | {_named(what)} | {self._outlook(what)}" for what in self._now),
        ]
        table = "".join(f"\n| {row} |" for row in rows)
        workflow.set_current_details(
            f"{self._where_it_stands()}\n\n| UTC | step | outcome |\n|:---|:---|:---|{table}{_ROOM}"
        )

    def _outlook(self, what: str) -> str:
        return "**stuck**" if what in self._stuck else "…"

    def _where_it_stands(self) -> str:
        if self._stuck:
            steps = "; ".join(f"“{what}” {why}" for what, why in self._stuck.items())
            return f"**Stuck: a person has to look.** {steps}. {_OPERATOR}"
        ending, state = self._progress.ending.refusal.reason, self._progress.order_state
        if self._is_over() and ending and state != checkout_pb2.ORDER_STATE_PLACED:
            return f"{_SENTENCES[state]} because of {ending}. Whatever had been done is undone.{self._credit()}"
        if self._progress.is_settling and not self._is_over():
            state = checkout_pb2.ORDER_STATE_SETTLING
        elif ending and not self._is_over():
            return f"**Being undone** because of {ending}.{self._credit()}"
        return _SENTENCES[state]

    def _credit(self) -> str:
        keeps = self._progress.is_handed_over and self._progress.credit_vouchers
        return _CREDIT_STAYS if keeps else ""

    def _is_over(self) -> bool:
        return self._progress.order_state not in _ON_ITS_WAY


def _named(what: str) -> str:
    """An undo says by its arrow what it is."""
    return f"↩ {what.removeprefix(_UNDO)}" if what.startswith(_UNDO) else what


def state_name(order_state: checkout_pb2.OrderState.ValueType) -> str:
    """The state as people write it, for example "awaiting_payment"."""
    return checkout_pb2.OrderState.Name(order_state).removeprefix("ORDER_STATE_").lower()

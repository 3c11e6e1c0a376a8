"""What Temporal's UI tells of any workflow whose steps may be stuck."""

from temporalio import workflow

from orchestrator.order_story import STUCK
from orchestrator.patience import Patience

_FREE = "Goes on by itself; what is in doubt is tried on and on."
_OPERATOR = "**Stuck: a person has to look.** {steps}. When the cause is gone, the update `resolve` has it tried again."


def show_stuck(patience: Patience) -> None:
    """Steps that do not get through, and why; to be called at every change."""
    workflow.upsert_search_attributes([STUCK.value_set(bool(patience.stuck))])
    steps = "; ".join(f"“{what}” {why}" for what, why in patience.stuck.items())
    workflow.set_current_details(_OPERATOR.format(steps=steps) if steps else _FREE)

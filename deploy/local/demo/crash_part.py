"""Part (e): two processes are killed in the middle of an undo."""

import asyncio

from deploy.local.demo.story import CREDIT_MINOR, Story, fresh_code
from quittance.checkout.v1 import checkout_pb2
from services.runtime.ids import new_id

_PROVIDER_THINKS_S = 3.0
_PROVIDER_ASKED_WITHIN_S = 20.0


async def worker_killed(story: Story) -> None:
    """A crash of the worker while it undoes an order."""
    report = story.report
    report.part(
        "(e) The worker is killed in the middle of the undo",
        "As in (a), but while the processor thinks about its no, the voucher service dies: so the undo can take back "
        "the credit, but not give back the voucher. Then the worker that drives the undo is killed, too. Once both "
        "are there again, the rest must be undone all the same.",
    )
    code = fresh_code("KILL")
    await story.shop.credit_voucher(code, CREDIT_MINOR)
    request = await story.quote("(e) worker killed", str(new_id()), code)
    undo_pending = await _refused_without_vouchers(story, request)
    report.fact("the refusal says that the undo still goes on", undo_pending, "true")

    await story.stack.kill("orchestrator", stay_down=True)
    report.say("[red]SIGKILL[/] to the worker. The voucher service is started again, the worker is not yet.")
    await story.stack.restart("vouchers")
    half = await story.look(request, within_s=0)
    report.fact("half undone: the credit is taken back ...", half.wallet.balance_minor, 0)
    report.fact("... but the voucher still counts as used", half.uses, ["1/1"])

    report.say("The worker is started again. Temporal hands it the unfinished work after some seconds.")
    await story.stack.restart("orchestrator")
    standing = await story.look(request)
    report.fact("the order has failed", standing.state, "failed")
    report.fact(
        "the voucher is not burnt: 0 of 1 uses", (standing.uses, standing.redemptions), (["0/1"], ["rolled back"])
    )
    report.fact("the wallet is as before: empty", standing.wallet.balance_minor, 0)
    report.fact("the grant was reversed exactly once", standing.sums("grant", "reversal"), [CREDIT_MINOR] * 2)


async def _refused_without_vouchers(story: Story, request: checkout_pb2.PlaceOrderRequest) -> str:
    """Places the order and kills the voucher service before the provider says no; "true" when the undo is pending."""
    await story.shop.sandbox_mode("unconfigured", slow_s=_PROVIDER_THINKS_S)
    try:
        async with asyncio.TaskGroup() as group:
            placing = group.create_task(story.shop.place_refused(request))
            await story.shop.until_provider_is_asked(_PROVIDER_ASKED_WITHIN_S)
            await story.stack.kill("vouchers", stay_down=True)
            story.report.say("[red]SIGKILL[/] to the voucher service, while the processor thinks about its answer.")
    finally:
        await story.shop.sandbox_mode("ok")
    return placing.result().metadata.get("undo_pending", "")

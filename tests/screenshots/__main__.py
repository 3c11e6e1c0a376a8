"""`python -m tests.screenshots`: takes the pictures of docs/pictures anew, from Temporal's real UI.

Starts a whole stack, brings one order to each end that is shown, and photographs it with Chromium without a screen.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from quittance.checkout.v1 import checkout_pb2
from tests.faults.proxy import Fault, until
from tests.faults.scenario import new_purchase
from tests.faulty_stack import FaultyStack
from tests.screenshots.browser import Browser, BrowserMissing

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
WIDTH = 1440


@dataclass(frozen=True)
class Picture:
    """One page of the UI of one order, taken when the page says `until`."""

    name: str
    order_id: str
    page: str
    until: str
    height: int


async def main() -> int:
    """1 when there is no browser."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as directory:
        try:
            async with Browser(Path(directory) / "browser") as browser:
                await _take_all(browser, Path(directory) / "stack")
        except BrowserMissing as problem:
            print(problem, file=sys.stderr)
            return 1
    return 0


async def _take_all(browser: Browser, directory: Path) -> None:
    async with FaultyStack(directory, headless=False) as stack:
        for make in (_placed, _compensated, _waiting, _stuck):
            for picture in await make(stack):
                await _take(browser, stack, picture)
                print(f"docs/pictures/{picture.name}.png", flush=True)


async def _placed(stack: FaultyStack) -> list[Picture]:
    purchase = await new_purchase(stack)
    await purchase.place_and_pay()
    await stack.workflow_of(purchase.order_id).result()
    return [
        Picture("placed", purchase.order_id, "user-metadata", "Current Details", 1240),
        Picture("placed-history", purchase.order_id, "history", "Event History", 1240),
        Picture("placed-memo", purchase.order_id, "memo", "Memo", 700),
    ]


async def _compensated(stack: FaultyStack) -> list[Picture]:
    """The provider is not configured, which is known only when vouchers and credits are reserved already."""
    purchase = await new_purchase(stack)
    await stack.shop.sandbox("unconfigured")
    try:
        await purchase.place_refused()
    finally:
        await stack.shop.sandbox("ok")
    await stack.workflow_of(purchase.order_id).result()
    return [
        Picture("compensated", purchase.order_id, "user-metadata", "Current Details", 1080),
        Picture("compensated-history", purchase.order_id, "history", "Event History", 1240),
    ]


async def _waiting(stack: FaultyStack) -> list[Picture]:
    purchase = await new_purchase(stack)
    await purchase.place()
    return [Picture("waiting", purchase.order_id, "user-metadata", "Current Details", 980)]


async def _stuck(stack: FaultyStack) -> list[Picture]:
    """The customer has paid, but the credits that were held for the order cannot be spent."""
    purchase = await new_purchase(stack)
    stack.faults.plan(purchase.workflow_id, "ledger.CaptureHold", Fault.REFUSED_BEFORE)
    order = await purchase.place()
    assert isinstance(order, checkout_pb2.Order)
    await stack.shop.on_pay_page(order.payment.payment_url, "pay")
    workflow = stack.workflow_of(purchase.order_id)

    async def is_stuck() -> bool:
        return (await workflow.describe()).search_attributes.get("QuittanceStuck") == [True]

    await until(is_stuck)
    return [Picture("stuck", purchase.order_id, "user-metadata", "Current Details", 1240)]


async def _take(browser: Browser, stack: FaultyStack, picture: Picture) -> None:
    description = await stack.workflow_of(picture.order_id).describe()
    path = f"namespaces/{stack.temporal.namespace}/workflows/{description.id}/{description.run_id}/{picture.page}"
    url = f"{stack.stack.temporal_ui_url}/{path}"
    await browser.photograph(url, picture.until, PICTURES / f"{picture.name}.png", WIDTH, picture.height)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

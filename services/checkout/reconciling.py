"""Reconciliation: a provider's lists of payments and refunds against checkout's rows.

What was missed is applied as if its webhook had come; what differs becomes a finding, once. The ledger's side is
compared by the workflow, which hands the differences in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quittance.checkout.v1 import payments_pb2
from services.checkout.domain.commands import ApplyNews, ApplyRefundNews, Event, ReceiveEvent
from services.checkout.domain.findings import Finding, FindingKind
from services.checkout.domain.kinds import PaymentState, ReceiptStanding, RefundState
from services.checkout.domain.payments import News
from services.checkout.domain.receipts import Receipt as StoredReceipt
from services.checkout.domain.receipts import ReceiptKey
from services.checkout.errors import OrderNotFound
from services.checkout.payment_workflow_client import PaymentWorkflowClient
from services.checkout.payments.provider import ProviderRefund, Receipt
from services.checkout.payments.registry import PaymentProviders
from services.checkout.refunding import news_of
from services.checkout.store.checkout_store import CheckoutStore
from services.checkout.store.money_store import MoneyStore
from services.checkout.unfinished import Unfinished

# A payment's time at the provider may be that of its beginning, not of its success, which can be a day later.
_PAID_LATER_MAX = timedelta(days=2)


@dataclass(slots=True)
class Comparison:
    """What a comparison has seen."""

    payments: int = 0
    refunds: int = 0
    missed: int = 0
    findings: list[Finding] = field(default_factory=list)


class Reconciling:
    """Compares, applies what was missed, stores findings."""

    def __init__(
        self,
        store: CheckoutStore,
        money: MoneyStore,
        providers: PaymentProviders,
        workflows: PaymentWorkflowClient,
        unfinished: Unfinished,
    ) -> None:
        self._store = store
        self._money = money
        self._providers = providers
        self._workflows = workflows
        self._unfinished = unfinished

    async def compare_all(self, window_s: int, deadline: float | None) -> Sequence[payments_pb2.ProviderReconciliation]:
        """All providers, checkout and the ledger, by the workflow that the schedule starts.

        Raises what it failed with, WORKFLOWS_UNAVAILABLE, DEADLINE_PASSED.
        """
        result = await self._workflows.reconcile(self._providers.names, window_s, deadline)
        return result.providers

    async def compare(self, name: str, since: datetime, until: datetime) -> Comparison:
        """Raises PAYMENT_PROVIDER_NOT_CONFIGURED, PAYMENT_PROVIDER_UNAVAILABLE, PAYMENT_PROVIDER_REFUSED."""
        provider = self._providers.named(name)
        seen = Comparison()
        around = (since - _PAID_LATER_MAX, until + _PAID_LATER_MAX)
        known = {receipt.key: receipt for receipt in await self._money.list_receipts(name, *around)}
        met: set[ReceiptKey] = set()
        async for receipt in provider.payments_between(*around):
            met.add(ReceiptKey(name, receipt.provider_payment_id))
            if since <= receipt.paid_time < until:
                await self._compare_payment(name, receipt, known, seen)
        seen.findings += _unknown_to_the_provider(known.values(), met, since, until)
        async for refund in provider.refunds_between(since, until):
            await self._compare_refund(name, refund, seen)
        await self._money.store_findings(seen.findings)
        return seen

    async def _compare_payment(
        self, name: str, receipt: Receipt, known: dict[ReceiptKey, StoredReceipt], seen: Comparison
    ) -> None:
        seen.payments += 1
        key = ReceiptKey(name, receipt.provider_payment_id)
        # It may have come while the lists were read.
        stored = known.get(key) or await self._money.find_receipt(key)
        if stored is None:
            seen.missed += 1
            await self._apply_payment(name, receipt)
            if receipt.order_id is not None:
                seen.findings.append(_finding(FindingKind.PAYMENT_MISSED, receipt, name))
        elif (stored.amount_minor, stored.currency) != (receipt.amount_minor, receipt.currency):
            differs = _finding(
                FindingKind.AMOUNT_DIFFERS, receipt, name, stored=f"{stored.amount_minor} {stored.currency}"
            )
            seen.findings.append(differs)

    async def _apply_payment(self, name: str, receipt: Receipt) -> None:
        """As if its webhook had come."""
        news = News(
            state=PaymentState.PAID,
            session_id=None,
            provider_payment_id=receipt.provider_payment_id,
            amount_minor=receipt.amount_minor,
            currency=receipt.currency,
            paid_at=receipt.paid_time,
        )
        if receipt.order_id is not None:
            try:
                await self._store.execute(ApplyNews(order_id=receipt.order_id, news=news))
            except OrderNotFound:
                pass
            else:
                await self._unfinished.nudge(receipt.order_id)
                return
        event = Event(
            provider=name,
            event_id=f"reconciled:{receipt.provider_payment_id}",
            kind="paid",
            order_id=receipt.order_id,
            session_id=None,
            raw_body=b"",
            received_at=receipt.paid_time,
        )
        await self._store.execute(ReceiveEvent(event=event, news=news))

    async def _compare_refund(self, name: str, refund: ProviderRefund, seen: Comparison) -> None:
        seen.refunds += 1
        receipt = await self._money.find_receipt(ReceiptKey(name, refund.provider_payment_id))
        if receipt is None or receipt.order_id is None:
            return
        order_id = receipt.order_id
        stored = (await self._money.read_order_money(order_id)).refunds
        news = news_of(name, refund)
        mine = [
            each
            for each in stored
            if each.refund_id == refund.refund_id or each.provider_refund_id == refund.provider_refund_id
        ]
        if mine and (mine[0].state is news.state or news.state is RefundState.PENDING):
            return
        seen.missed += 1
        await self._store.execute(ApplyRefundNews(order_id=order_id, news=news))
        details = {"provider_payment_id": refund.provider_payment_id, "amount_minor": str(refund.amount_minor)}
        seen.findings.append(Finding(FindingKind.REFUND_MISSED, name, refund.provider_refund_id, order_id, details))


def _unknown_to_the_provider(
    known: Iterable[StoredReceipt], met: set[ReceiptKey], since: datetime, until: datetime
) -> list[Finding]:
    return [
        Finding(
            FindingKind.PAYMENT_UNKNOWN_TO_PROVIDER,
            receipt.key.provider,
            receipt.key.provider_payment_id,
            receipt.order_id,
            {"amount_minor": str(receipt.amount_minor), "currency": receipt.currency},
        )
        for receipt in known
        if since <= receipt.paid_at < until
        and receipt.key not in met
        and receipt.standing is not ReceiptStanding.FOREIGN
    ]


def _finding(kind: FindingKind, receipt: Receipt, provider: str, **more: str) -> Finding:
    details = {"amount_minor": str(receipt.amount_minor), "currency": receipt.currency, **more}
    return Finding(kind, provider, receipt.provider_payment_id, receipt.order_id, details)

"""What news of money make of receipts and refunds: every success is written down once, and nothing goes back twice."""

from services.checkout.domain.commands import ApplyRefundNews, CompleteRefund, DisputeNews, RequestRefund
from services.checkout.domain.findings import Finding, FindingKind
from services.checkout.domain.kinds import FORWARD_ONLY, PaymentState, ReceiptStanding, RefundState
from services.checkout.domain.payments import News, Payment
from services.checkout.domain.receipts import (
    Receipt,
    ReceiptKey,
    Refund,
    RefundNews,
    left_of,
    new_refund,
    refund_of_the_provider,
)
from services.checkout.domain.state import Change, State
from services.checkout.errors import PaymentNotRefundable, RefundNotFound

_LATE = "it came after the order had ended or its page was closed"
_NOT_OURS = "it names no order of ours"


def receipt_of(provider: str, news: News, state: State, after: Payment | None, refused: str | None) -> Receipt | None:
    """The receipt that is to be written for a success; None when it is none, or is written down already.

    after: the order's payment with the news applied. refused: why they were not.
    """
    if news.state is not PaymentState.PAID or not (news.provider_payment_id and news.amount_minor and news.currency):
        return None
    key = ReceiptKey(provider, news.provider_payment_id)
    if _find_receipt(state, key) is not None:
        return None
    standing, why = ReceiptStanding.APPLIED, None
    if state.order is None:
        standing, why = ReceiptStanding.FOREIGN, _NOT_OURS
    elif refused is not None or after is None:
        standing, why = ReceiptStanding.UNWANTED, refused or _NOT_OURS
    elif not after.pays:
        standing, why = ReceiptStanding.UNWANTED, _LATE
    return Receipt(
        key=key,
        order_id=state.order.order_id if state.order is not None else None,
        amount_minor=news.amount_minor,
        currency=news.currency,
        paid_at=news.paid_at or state.now,
        standing=standing,
        why=why,
        created_at=state.now,
    )


def is_going_back(state: State, key: ReceiptKey) -> bool:
    """Whether a success was written down as one that no order stands for."""
    known = _find_receipt(state, key)
    return known is not None and known.standing is not ReceiptStanding.APPLIED


def findings_of(receipt: Receipt | None) -> tuple[Finding, ...]:
    """What a person should know of a receipt that is not applied."""
    if receipt is None or receipt.standing is ReceiptStanding.APPLIED:
        return ()
    is_ours = receipt.standing is ReceiptStanding.UNWANTED
    kind = FindingKind.UNWANTED_PAYMENT if is_ours else FindingKind.FOREIGN_PAYMENT
    details = {
        "why": receipt.why or "",
        "amount_minor": str(receipt.amount_minor),
        "currency": receipt.currency,
    }
    return (Finding(kind, receipt.key.provider, receipt.key.provider_payment_id, receipt.order_id, details),)


def finding_of_dispute(provider: str, dispute: DisputeNews, state: State) -> Finding:
    """A dispute is always a person's business."""
    details = {
        "provider_payment_id": dispute.provider_payment_id,
        "amount_minor": str(dispute.amount_minor),
        "currency": dispute.currency,
    }
    order_id = state.order.order_id if state.order is not None else None
    return Finding(FindingKind.DISPUTE, provider, dispute.dispute_id, order_id, details)


def request_refund(command: RequestRefund, state: State) -> Change[Refund]:
    """Writes down a refund of ours; under a known id the refund as it stands.

    Raises ORDER_NOT_FOUND, PAYMENT_NOT_REFUNDABLE, REFUND_EXCEEDS_PAYMENT, REFUND_EXISTS_WITH_DIFFERENT_FIELD.
    """
    order = state.require_order(command.order_id)
    receipt = _receipt_to_refund(command, state)
    if receipt is None:
        raise PaymentNotRefundable(order_id=order.order_id)
    known = next((each for each in state.refunds if each.refund_id == command.refund_id), None)
    if known is not None:
        known.check_same(receipt.key, command.amount_minor, command.reason)
        return Change(known)
    refund = new_refund(
        receipt,
        state.refunds,
        refund_id=command.refund_id,
        amount_minor=command.amount_minor,
        reason=command.reason,
        now=state.now,
    )
    return Change(refund, refund=refund)


def complete_refund(command: CompleteRefund, state: State) -> Change[Refund]:
    """What has changed since it was booked stays to be booked. Raises REFUND_NOT_FOUND."""
    refund = next((each for each in state.refunds if each.refund_id == command.refund_id), None)
    if refund is None:
        raise RefundNotFound(refund_id=command.refund_id)
    if command.booked not in (None, refund.state):
        return Change(refund)
    completed = refund.completed(state.now)
    return Change(completed, refund=completed)


def apply_refund_news(command: ApplyRefundNews, state: State) -> Change[Refund]:
    """Raises PAYMENT_NOT_REFUNDABLE: it is a refund of no receipt of this order."""
    change = refund_change(command.news, state)
    if change is None:
        raise PaymentNotRefundable(order_id=command.order_id)
    return change


def refund_change(news: RefundNews, state: State) -> Change[Refund] | None:
    """What a provider's word of a refund changes; None when it is of no receipt of ours.

    A refund made at the provider before its order was settled takes the order's money away: no order stands for the
    rest any more, and it goes back too.
    """
    receipt = _find_receipt(state, news.key)
    if receipt is None or receipt.order_id is None or state.order is None:
        return None
    known = _known_refund(news, state)
    if known is not None:
        after = known.after(news, state.now)
        return Change(after, refund=after, findings=_findings_of_refund(after, receipt, state))
    refund = refund_of_the_provider(receipt.order_id, news, state.now)
    made = _finding(FindingKind.REFUND_MADE_AT_PROVIDER, refund)
    findings = (made, *_findings_of_refund(refund, receipt, state))
    payment = state.payment
    if payment is None or not payment.pays or state.order.state in FORWARD_ONLY:
        return Change(refund, refund=refund, findings=findings)
    taken = receipt.unwanted("a part of it was given back at the provider before its order was settled")
    late = payment.without_its_money(state.now)
    return Change(refund, refund=refund, receipt=taken, payment=late, findings=(*findings, *findings_of(taken)))


def _receipt_to_refund(command: RequestRefund, state: State) -> Receipt | None:
    if command.key is not None:
        found = _find_receipt(state, command.key)
        return None if found is None or found.standing is ReceiptStanding.FOREIGN else found
    return next((each for each in state.receipts if each.standing is ReceiptStanding.APPLIED), None)


def _find_receipt(state: State, key: ReceiptKey) -> Receipt | None:
    return next((each for each in state.receipts if each.key == key), None)


def _known_refund(news: RefundNews, state: State) -> Refund | None:
    for refund in state.refunds:
        is_named = news.refund_id is not None and refund.refund_id == news.refund_id
        is_remembered = (refund.key, refund.provider_refund_id) == (news.key, news.provider_refund_id)
        if is_named or is_remembered:
            return refund
    return None


def _findings_of_refund(refund: Refund, receipt: Receipt, state: State) -> tuple[Finding, ...]:
    if refund.state is RefundState.FAILED:
        return (_finding(FindingKind.REFUND_FAILED, refund, failure=refund.failure or ""),)
    left_minor = _left_at_the_provider(receipt, refund, state)
    if refund.state is not RefundState.REFUNDED or left_minor >= 0:
        return ()
    return (_finding(FindingKind.REFUND_EXCEEDS_PAYMENT, refund, left_minor=str(left_minor)),)


def _left_at_the_provider(receipt: Receipt, refund: Refund, state: State) -> int:
    """What has not gone back. What is pending the provider may still refuse, because something else was faster."""
    others = (each for each in state.refunds if each.refund_id != refund.refund_id)
    return left_of(receipt, [each for each in (*others, refund) if each.state is RefundState.REFUNDED])


def _finding(kind: FindingKind, refund: Refund, **more: str) -> Finding:
    details = {
        "provider_payment_id": refund.key.provider_payment_id,
        "amount_minor": str(refund.amount_minor),
        "currency": refund.currency,
        **more,
    }
    return Finding(
        kind, refund.key.provider, refund.provider_refund_id or str(refund.refund_id), refund.order_id, details
    )

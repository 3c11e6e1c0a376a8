"""What an order's steps say to the services: pure functions of the order as asked for and of earlier answers."""

from collections.abc import Iterable, Sequence
from typing import Final

from orchestrator.order_ids import order_ids
from quittance.checkout.v1 import checkout_pb2, order_steps_pb2, order_workflow_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.vouchers.v1 import vouchers_pb2

# Account codes of the ledger: where sold goods are paid to, what a provider owes us, what nobody has claimed yet.
REVENUE: Final = "revenue"
CLEARING: Final = "clearing:{provider}"
UNALLOCATED: Final = "unallocated:{provider}"


class OrderRequests:
    """The requests of one order's steps; every id in them is derived from the order's."""

    def __init__(self, draft: order_workflow_pb2.OrderDraft) -> None:
        self._draft = draft
        self._ids = order_ids(draft.order_id, len(draft.vouchers))

    def create_order(self) -> order_steps_pb2.CreateOrderRequest:
        """The order as it was asked for."""
        return order_steps_pb2.CreateOrderRequest(draft=self._draft)

    def redeem_vouchers(self, created: order_steps_pb2.CreateOrderResponse) -> vouchers_pb2.RedeemVouchersRequest:
        """All vouchers of the order, on its lines at list prices."""
        return vouchers_pb2.RedeemVouchersRequest(
            order_id=self._draft.order_id,
            customer_id=self._draft.customer_id,
            currency=self._draft.currency,
            expire_time=created.backstop_time,
            facts=vouchers_pb2.CustomerFacts(orders_placed=created.orders_placed),
            lines=[
                vouchers_pb2.OrderLine(
                    line_number=line.line_number,
                    product_id=line.product_id,
                    quantity=line.quantity,
                    amount_minor=line.amount_minor,
                )
                for line in created.lines
            ],
            redemptions=[
                vouchers_pb2.RedemptionRequest(
                    redemption_id=redemption_id, voucher=vouchers_pb2.VoucherReference(voucher_id=voucher.voucher_id)
                )
                for redemption_id, voucher in zip(self._ids.redemption_ids, self._draft.vouchers, strict=True)
            ],
        )

    def keep_redemptions(self, which: Iterable[int]) -> vouchers_pb2.KeepRedemptionsRequest:
        """The vouchers at these places in the draft."""
        return vouchers_pb2.KeepRedemptionsRequest(
            customer_id=self._draft.customer_id, redemptions=self._redemptions(which)
        )

    def confirm_redemptions(self) -> vouchers_pb2.ConfirmRedemptionsRequest:
        """All vouchers of the order."""
        return vouchers_pb2.ConfirmRedemptionsRequest(
            customer_id=self._draft.customer_id, redemptions=self._redemptions(range(len(self._draft.vouchers)))
        )

    def roll_back_redemptions(self, which: Iterable[int]) -> vouchers_pb2.RollbackRedemptionsRequest:
        """The vouchers at these places in the draft."""
        return vouchers_pb2.RollbackRedemptionsRequest(
            customer_id=self._draft.customer_id, redemptions=self._redemptions(which)
        )

    def hold_credits(
        self, created: order_steps_pb2.CreateOrderResponse, redemptions: Sequence[vouchers_pb2.Redemption]
    ) -> ledger_pb2.HoldCreditsRequest:
        """Credit vouchers of this order are granted and held; the wallet gives the rest of what is payable."""
        payable_minor = created.subtotal_minor - sum(redemption.discount_minor for redemption in redemptions)
        return ledger_pb2.HoldCreditsRequest(
            hold_id=self._ids.hold_id,
            owner_id=self._draft.customer_id,
            currency=self._draft.currency,
            target_minor=payable_minor if self._draft.use_credits else 0,
            born_held_grants=[_grant_of(each) for each in redemptions if each.HasField("credit_grant")],
            credit_account=REVENUE,
            expire_time=created.backstop_time,
            reason="order.hold",
        )

    def capture_hold(self, credits_minor: int) -> ledger_pb2.CaptureHoldRequest:
        """Spends this much of the hold, in minor units; the rest is freed."""
        return ledger_pb2.CaptureHoldRequest(
            hold_id=self._ids.hold_id,
            owner_id=self._draft.customer_id,
            currency=self._draft.currency,
            amount_minor=credits_minor,
            reason="order.placed",
        )

    def release_hold(self, *, reverse_grants: bool) -> ledger_pb2.ReleaseHoldRequest:
        """Frees the hold; on request the grants that were born with it are reversed."""
        return ledger_pb2.ReleaseHoldRequest(
            hold_id=self._ids.hold_id,
            owner_id=self._draft.customer_id,
            currency=self._draft.currency,
            reverse_born_held_grants=reverse_grants,
            reason="order.undone" if reverse_grants else "order.ended",
        )

    def settle_price(
        self, held_minor: int, redemptions: Sequence[vouchers_pb2.Redemption]
    ) -> order_steps_pb2.SettlePriceRequest:
        """What is held and what the vouchers take off, for comparison with what was confirmed."""
        return order_steps_pb2.SettlePriceRequest(
            order_id=self._draft.order_id,
            credits_held_minor=held_minor,
            line_discounts=[share for redemption in redemptions for share in redemption.line_discounts],
        )

    def open_payment_session(self) -> order_steps_pb2.OpenPaymentSessionRequest:
        """Needs the order's id only: the rest is in its row."""
        return order_steps_pb2.OpenPaymentSessionRequest(order_id=self._draft.order_id)

    def close_payment_session(self) -> order_steps_pb2.ClosePaymentSessionRequest:
        """Needs the order's id only."""
        return order_steps_pb2.ClosePaymentSessionRequest(order_id=self._draft.order_id)

    def hand_over(self) -> order_steps_pb2.HandOverRequest:
        """Needs the order's id only."""
        return order_steps_pb2.HandOverRequest(order_id=self._draft.order_id)

    def read_payment(self, *, ask_provider: bool) -> order_steps_pb2.ReadPaymentRequest:
        """Reads the payment's row, and asks the provider before if so wished."""
        return order_steps_pb2.ReadPaymentRequest(order_id=self._draft.order_id, refresh=ask_provider)

    def begin_settling(self) -> order_steps_pb2.BeginSettlingRequest:
        """Needs the order's id only."""
        return order_steps_pb2.BeginSettlingRequest(order_id=self._draft.order_id)

    def book_payment(self, payment: checkout_pb2.Payment) -> ledger_pb2.PostTransactionsRequest:
        """Money is unallocated first, whatever becomes of its order; a placed order moves it to revenue."""
        clearing = CLEARING.format(provider=payment.provider)
        unallocated = UNALLOCATED.format(provider=payment.provider)
        return ledger_pb2.PostTransactionsRequest(
            transactions=[
                self._movement(self._ids.book_transaction_id, clearing, unallocated, payment, "payment.booked"),
                self._movement(self._ids.allocate_transaction_id, unallocated, REVENUE, payment, "payment.allocated"),
            ]
        )

    def complete_order(self) -> order_steps_pb2.CompleteOrderRequest:
        """Needs the order's id only."""
        return order_steps_pb2.CompleteOrderRequest(order_id=self._draft.order_id)

    def end_order(
        self, ending: order_workflow_pb2.OrderAnswer, *, undo_pending: bool
    ) -> order_steps_pb2.EndOrderRequest:
        """Carries the whole draft, so that an order that was never created can be stored as ended."""
        return order_steps_pb2.EndOrderRequest(
            draft=self._draft, order_state=ending.order_state, refusal=ending.refusal, undo_pending=undo_pending
        )

    def _redemptions(self, which: Iterable[int]) -> list[vouchers_pb2.RedemptionReference]:
        return [
            vouchers_pb2.RedemptionReference(
                redemption_id=self._ids.redemption_ids[n],
                voucher=vouchers_pb2.VoucherReference(voucher_id=self._draft.vouchers[n].voucher_id),
            )
            for n in which
        ]

    def _movement(
        self, transaction_id: str, debit: str, credit: str, payment: checkout_pb2.Payment, reason: str
    ) -> ledger_pb2.Transaction:
        return ledger_pb2.Transaction(
            transaction_id=transaction_id,
            owner_id=self._draft.customer_id,
            currency=self._draft.currency,
            transfers=[
                ledger_pb2.TransferRequest(
                    debit_account=debit, credit_account=credit, amount_minor=payment.amount_minor
                )
            ],
            reason=reason,
        )


def _grant_of(redemption: vouchers_pb2.Redemption) -> ledger_pb2.GrantRequest:
    """The grant of a credit voucher carries its redemption's id, so that undoing one finds the other."""
    credit = redemption.credit_grant
    return ledger_pb2.GrantRequest(
        grant_id=redemption.redemption_id,
        amount_minor=credit.amount_minor,
        category=ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL,
        priority=credit.priority,
        expire_time=credit.expire_time if credit.HasField("expire_time") else None,
        source_account=credit.source_account,
    )

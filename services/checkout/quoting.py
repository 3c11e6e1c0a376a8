"""What an order would cost now: our prices, the vouchers' discounts and credits, the wallet. Changes nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from quittance.vouchers.v1 import vouchers_pb2
from services.checkout.domain.prices import (
    Breakdown,
    PricedLine,
    break_down,
    price_lines,
    with_discounts,
)
from services.checkout.domain.requests import Basket
from services.checkout.peers import Peers
from services.checkout.store.checkout_store import CheckoutStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What it would cost; the assessments stand in the order of the codes."""

    lines: tuple[PricedLine, ...]
    breakdown: Breakdown
    assessments: Sequence[vouchers_pb2.VoucherAssessment]


class Quoter:
    """Reads what a quote needs and has it computed."""

    def __init__(self, store: CheckoutStore, peers: Peers) -> None:
        self._store = store
        self._peers = peers

    async def quote(self, basket: Basket) -> Quote:
        """The price breakdown that would be charged now.

        A voucher that would be refused counts for nothing and says so in its assessment. Raises PRICE_NOT_FOUND,
        CURRENCY_MISMATCH, AMOUNT_OUT_OF_RANGE, SERVICE_UNAVAILABLE and what ledger or vouchers refuse with.
        """
        prices = await self._store.read_prices([line.price_id for line in basket.lines])
        listed = price_lines(basket.lines, prices, basket.currency)
        assessments, wallet_minor = await asyncio.gather(self._assess(basket, listed), self._wallet(basket))
        accepted = [assessment for assessment in assessments if not assessment.HasField("refusal")]
        lines = with_discounts(listed, _discounts_of(accepted))
        credits_minor = sum(assessment.credit_minor for assessment in accepted) + wallet_minor
        return Quote(lines=lines, breakdown=break_down(lines, credits_minor), assessments=assessments)

    async def _assess(self, basket: Basket, lines: Sequence[PricedLine]) -> Sequence[vouchers_pb2.VoucherAssessment]:
        if not basket.voucher_codes:
            return ()
        facts = vouchers_pb2.CustomerFacts(orders_placed=await self._store.count_placed_orders(basket.customer_id))
        return await self._peers.assess_vouchers(
            basket.customer_id, basket.currency, lines, basket.voucher_codes, facts
        )

    async def _wallet(self, basket: Basket) -> int:
        return await self._peers.available_credits(basket.customer_id, basket.currency) if basket.use_credits else 0


def _discounts_of(assessments: Sequence[vouchers_pb2.VoucherAssessment]) -> list[tuple[int, int]]:
    return [
        (discount.line_number, discount.discount_minor)
        for assessment in assessments
        for discount in assessment.line_discounts
    ]

"""What the three services say of one order afterwards: read, shown in small tables, kept for the facts."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.demo.report import Report
from deploy.local.demo.shop import POLL_EVERY_S, Shop, money, state_name
from quittance.checkout.v1 import checkout_pb2
from quittance.ledger.v1 import ledger_pb2
from quittance.vouchers.v1 import vouchers_pb2

SYSTEM_ACCOUNTS = ("revenue", "unallocated:sandbox")
_PAYMENT_WORDS = {
    "none": "nothing to pay",
    "pending": "not paid yet",
    "paid": "paid",
    "failed": "payment declined",
    "expired": "nothing was paid",
}
LIVE = ("reserved", "kept", "confirmed")


@dataclass(frozen=True)
class VoucherStanding:
    """One code: its uses as "0/1", and the state of this order's redemption of it, or "none"."""

    code: str
    uses: str
    redemption: str


@dataclass(frozen=True)
class Standing:
    """Everything about one order."""

    order: checkout_pb2.Order
    wallet: ledger_pb2.GetWalletResponse
    vouchers: Sequence[VoucherStanding]
    # Oldest first.
    entries: Sequence[ledger_pb2.Transfer]

    @property
    def state(self) -> str:
        """The order's state in small letters."""
        return state_name(self.order.state)

    @property
    def payment(self) -> str:
        """The payment's state in small letters, or "none"."""
        if not self.order.HasField("payment"):
            return "none"
        return checkout_pb2.PaymentState.Name(self.order.payment.state).removeprefix("PAYMENT_STATE_").lower()

    @property
    def uses(self) -> list[str]:
        """Of each code, in the order asked."""
        return [voucher.uses for voucher in self.vouchers]

    @property
    def redemptions(self) -> list[str]:
        """The state of this order's redemption of each code."""
        return [voucher.redemption for voucher in self.vouchers]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is reserved or held any more, and the order knows."""
        is_done = self.state not in ("pending", "settling")
        return is_done and self.wallet.held_minor == 0 and "reserved" not in self.redemptions

    def sums(self, *reasons_and_kinds: str) -> list[int]:
        """Minor units moved by the entries of each reason or kind, for example "payment.booked" or "reversal"."""
        return [
            sum(entry.amount_minor for entry in self.entries if wanted in (entry.reason, kind_of(entry)))
            for wanted in reasons_and_kinds
        ]


def kind_of(entry: ledger_pb2.Transfer) -> str:
    """The entry's kind in small letters; "grant" for one that a campaign pays for."""
    if entry.debit_account.startswith("campaign:"):
        return "grant"
    return ledger_pb2.TransferKind.Name(entry.kind).removeprefix("TRANSFER_KIND_").lower()


async def newest_entry(shop: Shop, customer_id: str) -> int:
    """Number of the newest entry that `standing_of` would show; 0 when there is none."""
    return max((entry.sequence for entry in await _entries(shop, customer_id, since=0)), default=0)


async def standing_of(shop: Shop, request: checkout_pb2.PlaceOrderRequest, *, since: int, within_s: float) -> Standing:
    """How the order stands once nothing is reserved or held for it any more, or after `within_s` all the same."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not (standing := await _read(shop, request, since)).is_quiet:
                await asyncio.sleep(POLL_EVERY_S)
            return standing
    return await _read(shop, request, since)


def show(report: Report, standing: Standing) -> None:
    """Prints what each service says."""
    reason = f" ({standing.order.refusal.reason})" if standing.order.refusal.reason else ""
    rows = [["checkout", f"order {standing.state}{reason}, {_PAYMENT_WORDS[standing.payment]}"]]
    rows += [
        ["vouchers", f"{voucher.code}: {voucher.uses} used, this order's redemption: {voucher.redemption}"]
        for voucher in standing.vouchers
    ]
    held = f", of it {money(standing.wallet.held_minor)} held" if standing.wallet.held_minor else ""
    rows.append(["ledger", f"wallet {money(standing.wallet.balance_minor)}{held}"])
    report.table(["afterwards", ""], rows)
    report.table(
        ["ledger entry", "from", "to", "amount", "reason"],
        [
            [kind_of(entry), entry.debit_account, entry.credit_account, money(entry.amount_minor), entry.reason]
            for entry in standing.entries
        ],
    )
    report.gap()


async def _read(shop: Shop, request: checkout_pb2.PlaceOrderRequest, since: int) -> Standing:
    return Standing(
        order=await shop.order(request.order_id),
        wallet=await shop.wallet(request.customer_id),
        vouchers=[await _voucher(shop, code, request.order_id) for code in request.voucher_codes],
        entries=await _entries(shop, request.customer_id, since=since),
    )


async def _voucher(shop: Shop, code: str, order_id: str) -> VoucherStanding:
    response = await shop.voucher(code)
    states = [redemption.state for redemption in response.redemptions if redemption.order_id == order_id]
    names = [vouchers_pb2.RedemptionState.Name(state).removeprefix("REDEMPTION_STATE_") for state in states]
    return VoucherStanding(
        code=code,
        uses=f"{response.voucher.uses}/{response.voucher.uses_max}",
        redemption=names[0].lower().replace("_", " ") if names else "none",
    )


async def _entries(shop: Shop, customer_id: str, *, since: int) -> list[ledger_pb2.Transfer]:
    """The customer's grants and what moved in the same book's system accounts."""
    found = {entry.sequence: entry for entry in await shop.entries(customer_id)}
    for account in SYSTEM_ACCOUNTS:
        found |= {entry.sequence: entry for entry in await shop.entries(customer_id, account)}
    return [found[sequence] for sequence in sorted(found) if sequence > since]

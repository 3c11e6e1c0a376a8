"""What checkout reads from the ledger and the voucher service for a quote. Only reads: writes go through workflows."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from quittance.vouchers.v1 import vouchers_pb2, vouchers_pb2_grpc
from services.checkout.domain.prices import PricedLine
from services.checkout.errors import ServiceUnavailable
from services.runtime.channels import open_channel
from services.runtime.errors import PassedOn, ServiceError, Status
from services.runtime.grpc_errors import refusal_of

Answer = TypeVar("Answer")


class Peers:
    """The ledger and the voucher service, asked with a time limit per call."""

    def __init__(
        self,
        ledger: "ledger_pb2_grpc.LedgerServiceAsyncStub",
        vouchers: "vouchers_pb2_grpc.VouchersServiceAsyncStub",
        timeout_s: float,
    ) -> None:
        self._ledger = ledger
        self._vouchers = vouchers
        self._timeout_s = timeout_s

    async def available_credits(self, customer_id: UUID, currency: str) -> int:
        """What the customer's wallet has to spend, in minor units. Raises the ledger's reasons, SERVICE_UNAVAILABLE."""
        request = ledger_pb2.GetWalletRequest(owner_id=str(customer_id), currency=currency)
        wallet = await _asked("ledger", self._ledger.GetWallet(request, timeout=self._timeout_s))
        return wallet.available_minor

    async def assess_vouchers(
        self,
        customer_id: UUID,
        currency: str,
        lines: Sequence[PricedLine],
        codes: Sequence[str],
        facts: vouchers_pb2.CustomerFacts,
    ) -> Sequence[vouchers_pb2.VoucherAssessment]:
        """What each code would do, in the order asked. Raises the voucher service's reasons, SERVICE_UNAVAILABLE."""
        request = vouchers_pb2.ValidateVouchersRequest(
            customer_id=str(customer_id),
            currency=currency,
            lines=[
                vouchers_pb2.OrderLine(
                    line_number=line.line_number,
                    product_id=str(line.product_id),
                    quantity=line.quantity,
                    amount_minor=line.amount_minor,
                )
                for line in lines
            ],
            vouchers=[vouchers_pb2.VoucherReference(code=code) for code in codes],
            facts=facts,
        )
        answer = await _asked("vouchers", self._vouchers.ValidateVouchers(request, timeout=self._timeout_s))
        return answer.assessments


@asynccontextmanager
async def open_peers(ledger_address: str, vouchers_address: str, timeout_s: float) -> AsyncIterator[Peers]:
    """Connects when first used, so that services may start in any order."""
    async with (
        open_channel(ledger_address) as ledger,
        open_channel(vouchers_address) as vouchers,
    ):
        yield Peers(
            ledger_pb2_grpc.LedgerServiceStub(ledger), vouchers_pb2_grpc.VouchersServiceStub(vouchers), timeout_s
        )


async def _asked(service: str, call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise _error_of(service, error) from error


def _error_of(service: str, error: grpc.aio.AioRpcError) -> ServiceError:
    """The service's own refusal, whole; one without a reason did not come from the service."""
    refusal = refusal_of(error)
    if refusal.reason is None or refusal.domain is None:
        return ServiceUnavailable(service=service)
    return PassedOn(
        status=Status(refusal.status.value[0]),
        domain=refusal.domain,
        reason=refusal.reason,
        metadata=refusal.metadata,
        message=refusal.message,
        retry_after_s=refusal.retry_after_s,
    )

"""Requests as the tests make them: everything valid and filled in, each test names what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from quittance.ledger.v1 import ledger_pb2
from services.runtime.grpc_errors import Refusal, refusal_of
from services.runtime.ids import new_id

PROMOTIONAL = ledger_pb2.CREDIT_CATEGORY_PROMOTIONAL
PAID = ledger_pb2.CREDIT_CATEGORY_PAID


def in_days(days: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return timestamp


class Customer:
    """One wallet's requests."""

    def __init__(self, currency: str = "OMR") -> None:
        self.owner_id = str(new_id())
        self.currency = currency

    @property
    def _wallet(self) -> dict[str, str]:
        return {"owner_id": self.owner_id, "currency": self.currency}

    def transaction(
        self, *transfers: tuple[str, str, int], transaction_id: UUID | None = None, reason: str = "test.transaction"
    ) -> ledger_pb2.Transaction:
        return ledger_pb2.Transaction(
            transaction_id=str(transaction_id or new_id()),
            transfers=[
                ledger_pb2.TransferRequest(debit_account=debit, credit_account=credit, amount_minor=amount_minor)
                for debit, credit, amount_minor in transfers
            ],
            reason=reason,
            **self._wallet,
        )

    def grant(self, amount_minor: int = 10_000, **fields: object) -> ledger_pb2.GrantCreditsRequest:
        return ledger_pb2.GrantCreditsRequest(grant=grant(amount_minor, **fields), reason="test.grant", **self._wallet)

    def revoke(self, grant_id: str, *, allow_partial: bool = False) -> ledger_pb2.RevokeGrantRequest:
        return ledger_pb2.RevokeGrantRequest(
            grant_id=grant_id, allow_partial=allow_partial, reason="test.revoke", **self._wallet
        )

    def hold(self, target_minor: int = 0, **fields: object) -> ledger_pb2.HoldCreditsRequest:
        defaults = {"hold_id": str(new_id()), "credit_account": "revenue", "expire_time": in_days(1)}
        values = {**defaults, "reason": "test.hold", **self._wallet, **fields}
        return ledger_pb2.HoldCreditsRequest(target_minor=target_minor, **values)

    def capture(self, hold_id: str, amount_minor: int) -> ledger_pb2.CaptureHoldRequest:
        return ledger_pb2.CaptureHoldRequest(
            hold_id=hold_id, amount_minor=amount_minor, reason="test.capture", **self._wallet
        )

    def release(self, hold_id: str, *, reverse: bool = False) -> ledger_pb2.ReleaseHoldRequest:
        return ledger_pb2.ReleaseHoldRequest(
            hold_id=hold_id, reverse_born_held_grants=reverse, reason="test.release", **self._wallet
        )

    def refund(self, hold_id: str, amount_minor: int, **fields: object) -> ledger_pb2.RefundCreditsRequest:
        values = {"refund_id": str(new_id()), "reason": "test.refund", **self._wallet, **fields}
        return ledger_pb2.RefundCreditsRequest(hold_id=hold_id, amount_minor=amount_minor, **values)

    def open(self, account: str, **fields: object) -> ledger_pb2.OpenAccountRequest:
        return ledger_pb2.OpenAccountRequest(account=account, **self._wallet, **fields)

    def close(self, account: str) -> ledger_pb2.CloseAccountRequest:
        return ledger_pb2.CloseAccountRequest(account=account, **self._wallet)

    def account(self, account: str) -> ledger_pb2.GetAccountRequest:
        return ledger_pb2.GetAccountRequest(account=account, **self._wallet)

    def wallet(self, at_time: Timestamp | None = None) -> ledger_pb2.GetWalletRequest:
        return ledger_pb2.GetWalletRequest(at_time=at_time, **self._wallet)

    def statement(self, **fields: object) -> ledger_pb2.GetStatementRequest:
        return ledger_pb2.GetStatementRequest(**{**self._wallet, **fields})

    def transfers(self, account: str = "", page_size: int = 0, page_token: str = "") -> ledger_pb2.ListTransfersRequest:
        return ledger_pb2.ListTransfersRequest(
            account=account, page_size=page_size, page_token=page_token, **self._wallet
        )


def grant(amount_minor: int = 10_000, **fields: object) -> ledger_pb2.GrantRequest:
    defaults = {"grant_id": str(new_id()), "category": PROMOTIONAL, "source_account": "campaign:walk"}
    return ledger_pb2.GrantRequest(amount_minor=amount_minor, **{**defaults, **fields})


def post(*transactions: ledger_pb2.Transaction) -> ledger_pb2.PostTransactionsRequest:
    return ledger_pb2.PostTransactionsRequest(transactions=transactions)


async def refused(call: Any) -> Refusal:
    """What a call was refused with; fails when it was not refused."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError(f"not refused: {response}")

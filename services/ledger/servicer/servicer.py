"""LedgerService: decode, call, encode."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from services.ledger.domain.commands import AnyCommand, AnyResult, Command
from services.ledger.domain.paging import PAGE_SIZE_DEFAULT
from services.ledger.domain.results import PostedTransaction
from services.ledger.servicer import encode
from services.ledger.servicer.decode import Decoder
from services.ledger.store.ledger_store import LedgerStore
from services.runtime.deadlines import deadline_of
from services.runtime.errors import DeadlineExceeded, Internal, ServiceError, Unavailable
from services.runtime.group_commit import GroupCommit

Context = grpc.aio.ServicerContext[Any, Any]
Result = TypeVar("Result")


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """Handlers of LedgerService; their contract is written in the proto."""

    def __init__(self, group: GroupCommit[AnyCommand, AnyResult], store: LedgerStore, book_count: int) -> None:
        self._group = group
        self._store = store
        self._decode = Decoder(book_count)

    async def PostTransactions(
        self, request: ledger_pb2.PostTransactionsRequest, context: Context
    ) -> ledger_pb2.PostTransactionsResponse:
        """Many commands in one submit: they stay together, each has its own outcome."""
        commands = [self._decode.transaction(message) for message in request.transactions]
        outcomes = _known(await self._group.submit_many(commands, deadline=deadline_of(context)))
        results = [
            encode.transaction_result(message.transaction_id, cast("PostedTransaction | ServiceError", outcome))
            for message, outcome in zip(request.transactions, outcomes, strict=True)
        ]
        return ledger_pb2.PostTransactionsResponse(results=results)

    async def GrantCredits(
        self, request: ledger_pb2.GrantCreditsRequest, context: Context
    ) -> ledger_pb2.GrantCreditsResponse:
        """One command."""
        grant = await self._submit(self._decode.grant_credits(request), context)
        return ledger_pb2.GrantCreditsResponse(grant=encode.grant(grant))

    async def RevokeGrant(
        self, request: ledger_pb2.RevokeGrantRequest, context: Context
    ) -> ledger_pb2.RevokeGrantResponse:
        """One command."""
        revoked = await self._submit(self._decode.revoke_grant(request), context)
        return ledger_pb2.RevokeGrantResponse(reversed_minor=revoked.reversed_minor)

    async def HoldCredits(
        self, request: ledger_pb2.HoldCreditsRequest, context: Context
    ) -> ledger_pb2.HoldCreditsResponse:
        """One command."""
        hold = await self._submit(self._decode.hold_credits(request), context)
        return ledger_pb2.HoldCreditsResponse(hold=encode.hold(hold))

    async def CaptureHold(
        self, request: ledger_pb2.CaptureHoldRequest, context: Context
    ) -> ledger_pb2.CaptureHoldResponse:
        """One command."""
        hold = await self._submit(self._decode.capture_hold(request), context)
        return ledger_pb2.CaptureHoldResponse(hold=encode.hold(hold))

    async def ReleaseHold(
        self, request: ledger_pb2.ReleaseHoldRequest, context: Context
    ) -> ledger_pb2.ReleaseHoldResponse:
        """One command."""
        released = await self._submit(self._decode.release_hold(request), context)
        return ledger_pb2.ReleaseHoldResponse(
            released_minor=released.released_minor, reversed_minor=released.reversed_minor
        )

    async def GetWallet(self, request: ledger_pb2.GetWalletRequest, context: Context) -> ledger_pb2.GetWalletResponse:
        """A read."""
        owner_id, book_id = self._decode.owner(request.owner_id)
        return encode.wallet(await self._store.read_wallet(book_id, owner_id, request.currency))

    async def ListTransfers(
        self, request: ledger_pb2.ListTransfersRequest, context: Context
    ) -> ledger_pb2.ListTransfersResponse:
        """A read of one transfer more than the page has, to know whether there is a next page."""
        listed = self._decode.transfer_list(request)
        size = request.page_size or PAGE_SIZE_DEFAULT
        found = await self._store.list_transfers(listed, listed.below_seq(request.page_token), size + 1)
        page, next_page_token = listed.page(found, size)
        return ledger_pb2.ListTransfersResponse(
            transfers=[encode.transfer(transfer) for transfer in page], next_page_token=next_page_token
        )

    async def _submit(self, command: Command[Result], context: Context) -> Result:
        """The command's own kind of result: `decide` answers each kind of command with one."""
        result = await self._group.submit(cast("AnyCommand", command), deadline=deadline_of(context))
        return cast("Result", result)


def _known(outcomes: Sequence[AnyResult | ServiceError]) -> Sequence[AnyResult | ServiceError]:
    """The outcomes, unless one is unknown: then the call fails as a whole and is safe to repeat.

    Raises DATABASE_UNAVAILABLE, DEADLINE_PASSED, INTERNAL.
    """
    for outcome in outcomes:
        if isinstance(outcome, Unavailable | DeadlineExceeded | Internal):
            raise outcome
    return outcomes

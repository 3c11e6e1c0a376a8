"""LedgerService: decode, call, encode."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast

import grpc

from quittance.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from services.ledger.domain.commands import AnyCommand, AnyResult, Command
from services.ledger.domain.paging import PAGE_SIZE_DEFAULT
from services.ledger.domain.results import AccountPlace, GrantView
from services.ledger.errors import AccountNotFound, TransactionNotFound
from services.ledger.servicer import encode, encode_wallet
from services.ledger.servicer.decode import Decoder
from services.ledger.servicer.outcomes import Outcomes, known
from services.ledger.servicer.streaming import responses
from services.ledger.store.ledger_store import LedgerStore
from services.runtime.deadlines import deadline_of
from services.runtime.errors import ServiceError
from services.runtime.group_commit import GroupCommit
from services.runtime.ids import parse_id
from services.runtime.streams import MessageReader
from services.runtime.times import parse_time
from services.runtime.validation import checks_shape_itself

Context = grpc.aio.ServicerContext[Any, Any]
Result = TypeVar("Result")

# Messages of one stream that are worked on at once.
MESSAGES_AHEAD_MAX = 64


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """Handlers of LedgerService; their contract is written in the proto."""

    def __init__(self, group: GroupCommit[AnyCommand, AnyResult], store: LedgerStore, book_count: int) -> None:
        self._group = group
        self._store = store
        self._decode = Decoder(book_count)

    @checks_shape_itself
    async def PostTransactions(
        self, request: ledger_pb2.PostTransactionsRequest, context: Context
    ) -> ledger_pb2.PostTransactionsResponse:
        """Many commands in one submit: they stay together, each has its own outcome."""
        commands = self._decode.transactions(request)
        outcomes = known(await self._group.begin_many(commands, deadline=deadline_of(context)))
        response = ledger_pb2.PostTransactionsResponse()
        encode.transaction_results(request.transactions, outcomes, response)
        return response

    @checks_shape_itself
    async def StreamTransactions(
        self, request_iterator: AsyncIterator[ledger_pb2.StreamTransactionsRequest], context: Context
    ) -> AsyncIterator[ledger_pb2.StreamTransactionsResponse]:
        """PostTransactions for each message."""
        deadline = deadline_of(context)

        def begin(request: ledger_pb2.StreamTransactionsRequest) -> asyncio.Future[Outcomes]:
            return self._group.begin_many(self._decode.transactions(request), deadline=deadline)

        from_bytes = ledger_pb2.StreamTransactionsRequest.FromString
        reader = MessageReader(from_bytes, begin, ahead_max=MESSAGES_AHEAD_MAX)
        async with reader.reading(request_iterator):
            while answered := await reader.next_answered():
                for response in responses(answered):
                    yield response

    async def GetTransaction(
        self, request: ledger_pb2.GetTransactionRequest, context: Context
    ) -> ledger_pb2.GetTransactionResponse:
        """A read."""
        _, book_id = self._decode.owner(request.owner_id)
        transaction_id = parse_id(request.transaction_id, "transaction_id")
        found = await self._store.read_transaction(book_id, transaction_id)
        if found is None:
            raise TransactionNotFound(transaction_id=transaction_id)
        transaction, transfers = found
        return ledger_pb2.GetTransactionResponse(
            transaction=encode.transaction(transaction), transfers=[encode.transfer(each) for each in transfers]
        )

    async def ListTransactions(
        self, request: ledger_pb2.ListTransactionsRequest, context: Context
    ) -> ledger_pb2.ListTransactionsResponse:
        """A read of one transaction more than the page has, to know whether there is a next page."""
        listed = self._decode.transaction_list(request)
        size = request.page_size or PAGE_SIZE_DEFAULT
        found = await self._store.list_transactions(listed, listed.below_seq(request.page_token), size + 1)
        page, next_page_token = listed.page(found, size)
        return ledger_pb2.ListTransactionsResponse(
            transactions=[encode.transaction(each) for each in page], next_page_token=next_page_token
        )

    async def OpenAccount(
        self, request: ledger_pb2.OpenAccountRequest, context: Context
    ) -> ledger_pb2.OpenAccountResponse:
        """One command, and what came of it."""
        place = await self._submit(self._decode.open_account(request), context)
        return ledger_pb2.OpenAccountResponse(account=await self._account(place))

    async def CloseAccount(
        self, request: ledger_pb2.CloseAccountRequest, context: Context
    ) -> ledger_pb2.CloseAccountResponse:
        """One command, and what came of it."""
        place = await self._submit(self._decode.close_account(request), context)
        return ledger_pb2.CloseAccountResponse(account=await self._account(place))

    async def GetAccount(
        self, request: ledger_pb2.GetAccountRequest, context: Context
    ) -> ledger_pb2.GetAccountResponse:
        """A read."""
        return ledger_pb2.GetAccountResponse(account=await self._account(self._decode.account_place(request)))

    @checks_shape_itself
    async def GetBalances(
        self, request: ledger_pb2.GetBalancesRequest, context: Context
    ) -> ledger_pb2.GetBalancesResponse:
        """A read."""
        places = self._decode.account_places(request)
        return encode.balances(await self._store.read_balances(places))

    async def GrantCredits(
        self, request: ledger_pb2.GrantCreditsRequest, context: Context
    ) -> ledger_pb2.GrantCreditsResponse:
        """One command."""
        grant = await self._submit(self._decode.grant_credits(request), context)
        return ledger_pb2.GrantCreditsResponse(grant=encode.grant(grant))

    async def GrantCreditsBatch(
        self, request: ledger_pb2.GrantCreditsBatchRequest, context: Context
    ) -> ledger_pb2.GrantCreditsBatchResponse:
        """Many commands in one submit, each with its own outcome."""
        commands = [self._decode.grant_credits(message) for message in request.grants]
        outcomes = known(await self._group.submit_many(commands, deadline=deadline_of(context)))
        results = [
            encode.grant_result(message.grant.grant_id, cast("GrantView | ServiceError", outcome))
            for message, outcome in zip(request.grants, outcomes, strict=True)
        ]
        return ledger_pb2.GrantCreditsBatchResponse(results=results)

    async def RevokeGrant(
        self, request: ledger_pb2.RevokeGrantRequest, context: Context
    ) -> ledger_pb2.RevokeGrantResponse:
        """One command."""
        revoked = await self._submit(self._decode.revoke_grant(request), context)
        return encode_wallet.revoked(revoked)

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

    async def RefundCredits(
        self, request: ledger_pb2.RefundCreditsRequest, context: Context
    ) -> ledger_pb2.RefundCreditsResponse:
        """One command."""
        return encode_wallet.refund(await self._submit(self._decode.refund_credits(request), context))

    async def GetWallet(self, request: ledger_pb2.GetWalletRequest, context: Context) -> ledger_pb2.GetWalletResponse:
        """A read."""
        owner_id, book_id = self._decode.owner(request.owner_id)
        at = parse_time(request.at_time, "at_time") if request.HasField("at_time") else None
        return encode_wallet.wallet(await self._store.read_wallet(book_id, owner_id, request.currency, at))

    async def GetStatement(
        self, request: ledger_pb2.GetStatementRequest, context: Context
    ) -> ledger_pb2.GetStatementResponse:
        """A read."""
        size = request.page_size or PAGE_SIZE_DEFAULT
        statement = self._decode.statement(request)
        return encode_wallet.statement(await self._store.read_statement(statement, request.page_token, size))

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

    async def _account(self, place: AccountPlace) -> ledger_pb2.Account:
        """Raises ACCOUNT_NOT_FOUND."""
        found = await self._store.read_account(place)
        if found is None:
            raise AccountNotFound(account=place.code, currency=place.currency)
        return encode.account(found)

    async def _submit(self, command: Command[Result], context: Context) -> Result:
        """The command's own kind of result: `decide` answers each kind of command with one."""
        result = await self._group.submit(cast("AnyCommand", command), deadline=deadline_of(context))
        return cast("Result", result)

"""StreamTransactions: every message is answered, in order, whatever becomes of a single one."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from quittance.ledger.v1 import ledger_pb2
from quittance.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from services.ledger.main import LedgerSettings, serving
from tests.ledger.requests import Customer

METHOD = "/quittance.ledger.v1.LedgerService/StreamTransactions"


def streamed(*transactions: ledger_pb2.Transaction) -> ledger_pb2.StreamTransactionsRequest:
    return ledger_pb2.StreamTransactionsRequest(transactions=transactions)


async def test_stream_answers_every_message_in_order(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    account = f"streamed:{customer.owner_id}"
    messages = [
        streamed(*(customer.transaction(("till", account, 1)) for _ in range(1 + number % 3))) for number in range(200)
    ]
    answers = [answer async for answer in ledger.StreamTransactions(iter(messages))]
    asked = [each.transaction_id for message in messages for each in message.transactions]
    assert [result.transaction_id for answer in answers for result in answer.results] == asked
    assert sum(answer.message_count for answer in answers) == len(messages)
    assert len(answers) < len(messages)
    sums = [result.transfers[0].credit_posted_minor for answer in answers for result in answer.results]
    assert sums == list(range(1, len(sums) + 1))


async def test_stream_large_messages_have_responses_of_their_own(ledger: LedgerServiceStub) -> None:
    """What is committed together is not answered together when clients would refuse so large a response."""
    customer = Customer()
    moves = [("till", f"large:{number % 7}", 1) for number in range(1500)]
    messages = [streamed(customer.transaction(*moves)) for _ in range(4)]
    answers = [answer async for answer in ledger.StreamTransactions(iter(messages))]
    assert [answer.message_count for answer in answers] == [1, 1, 1, 1]
    assert [len(answer.results[0].transfers) for answer in answers] == [1500] * 4


async def test_stream_goes_on_after_messages_that_are_refused(ledger_settings: LedgerSettings) -> None:
    """Bytes that are no message, a message against its rules, a refused transaction, and a good one after each."""
    customer = Customer()
    wrong = customer.transaction(("a", "b", 1))
    wrong.currency = "omr"
    good = [streamed(customer.transaction(("a", "b", 1))) for _ in range(3)]
    messages = [
        *(b"\xff\xff", good[0].SerializeToString()),
        *(streamed(wrong).SerializeToString(), good[1].SerializeToString()),
        *(streamed(customer.transaction(("a", "a", 1))).SerializeToString(), good[2].SerializeToString()),
        streamed().SerializeToString(),
    ]
    async with serving(ledger_settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        call = channel.stream_stream(METHOD, None, ledger_pb2.StreamTransactionsResponse.FromString)
        answers = [answer async for answer in call(iter(messages))]
    reasons = [answer.error.reason for answer in answers for _ in range(answer.message_count)]
    assert reasons == ["MALFORMED_MESSAGE", "", "INVALID_REQUEST", "", "", "", "INVALID_REQUEST"]
    results = [result for answer in answers for result in answer.results]
    assert [result.refusal.reason for result in results] == ["", "", "SAME_ACCOUNT", ""]
    assert [len(result.transfers) for result in results] == [1, 1, 0, 1]
    assert all(answer.message_count == 1 for answer in answers if answer.error.reason)


async def test_stream_that_is_cancelled_ends_and_leaves_the_server_whole(ledger: LedgerServiceStub) -> None:
    customer = Customer()
    account = f"cancelled:{customer.owner_id}"

    async def endless() -> AsyncIterator[ledger_pb2.StreamTransactionsRequest]:
        while True:
            yield streamed(customer.transaction(("till", account, 1)))
            await asyncio.sleep(0)

    call = ledger.StreamTransactions(endless())
    last = 0
    async for answer in call:
        last = answer.results[0].transfers[0].credit_posted_minor
        if last >= 20:
            break
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    balance = (await ledger.GetAccount(customer.account(account))).account.posted_minor
    assert balance >= last

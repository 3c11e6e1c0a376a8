"""The responses of StreamTransactions: messages whose outcomes became known together share one."""

from collections.abc import Iterable, Iterator

from quittance.ledger.v1 import ledger_pb2
from services.ledger.servicer import encode
from services.ledger.servicer.outcomes import Outcomes, unknown_of
from services.runtime.errors import ServiceError
from services.runtime.streams import Begun, NotBegun

Message = Begun[ledger_pb2.StreamTransactionsRequest, Outcomes] | NotBegun

# No message joins a response that would have more transfers then: it stays below the size that clients accept.
_TRANSFERS_MAX = 2000


def responses(answered: Iterable[Message]) -> Iterator[ledger_pb2.StreamTransactionsResponse]:
    """The responses to these messages, in order."""
    response, size = ledger_pb2.StreamTransactionsResponse(), 0
    for message in answered:
        error = _error_of(message)
        if error is not None:
            if response.message_count:
                yield response
            yield ledger_pb2.StreamTransactionsResponse(error=encode.refusal(error), message_count=1)
            response, size = ledger_pb2.StreamTransactionsResponse(), 0
        elif isinstance(message, Begun):
            added = _size_of(message.request)
            if response.message_count and size + added > _TRANSFERS_MAX:
                yield response
                response, size = ledger_pb2.StreamTransactionsResponse(), 0
            encode.transaction_results(message.request.transactions, message.outcome.result(), response)
            response.message_count += 1
            size += added
    if response.message_count:
        yield response


def _error_of(message: Message) -> ServiceError | None:
    return message.error if isinstance(message, NotBegun) else unknown_of(message.outcome.result())


def _size_of(request: ledger_pb2.StreamTransactionsRequest) -> int:
    return sum([len(transaction.transfers) for transaction in request.transactions])

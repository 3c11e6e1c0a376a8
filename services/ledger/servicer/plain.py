"""The most common messages, read and checked in one pass: movements without targets or metadata, names of accounts.

The general check of a message's rules takes as long as all that is done for a transaction besides. This one knows
fewer messages, by the same rules: it reads them from the proto. Whatever it does not know goes the general way.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from uuid import UUID

from google.protobuf.descriptor import Descriptor

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.commands import PostTransaction, TransferOrder
from services.ledger.domain.results import AccountPlace
from services.runtime.validation import field_rules
from services.runtime.wire_ids import wire_id

_TEXTS_REMEMBERED = 100_000


def _text_check(message: Descriptor, field: str) -> Callable[[str], bool]:
    """Whether a text is not empty and keeps the rules of this field; the answers are remembered."""
    rules = field_rules(message, field).string
    fits = re.compile(rules.pattern or ".*", 0 if rules.pattern else re.DOTALL).fullmatch
    length_max = rules.max_len if rules.HasField("max_len") else 3

    def is_right(text: str) -> bool:
        return 0 < len(text) <= length_max and fits(text) is not None

    return lru_cache(_TEXTS_REMEMBERED)(is_right)


_TRANSACTION, _TRANSFER = ledger_pb2.Transaction.DESCRIPTOR, ledger_pb2.TransferRequest.DESCRIPTOR
_NAME = ledger_pb2.AccountName.DESCRIPTOR
_is_currency = _text_check(_TRANSACTION, "currency")
_is_reason = _text_check(_TRANSACTION, "reason")
_is_code = _text_check(_TRANSFER, "debit_account")
_is_named_currency, _is_named_account = _text_check(_NAME, "currency"), _text_check(_NAME, "account")
_AMOUNT_MAX: int = field_rules(_TRANSFER, "amount_minor").int64.lte


def read_plain(
    messages: Iterable[ledger_pb2.Transaction], place_of: Callable[[str], tuple[UUID, int] | None]
) -> list[PostTransaction] | None:
    """The commands; None when one of the messages is of another shape, right or wrong."""
    commands = []
    for message in messages:
        place = place_of(message.owner_id)
        transaction_id = wire_id(message.transaction_id)
        currency, reason = message.currency, message.reason
        transfers = _read_transfers(message.transfers)
        is_known = place and transaction_id and transfers and _is_currency(currency) and _is_reason(reason)
        if not is_known or message.metadata or place is None or transaction_id is None or transfers is None:
            return None
        commands.append(PostTransaction(place[1], place[0], currency, reason, transaction_id, transfers))
    return commands


def read_names(
    messages: Iterable[ledger_pb2.AccountName], place_of: Callable[[str], tuple[UUID, int] | None]
) -> list[AccountPlace] | None:
    """Where these accounts are; None when one of the names is of another shape, right or wrong."""
    places = []
    for message in messages:
        place, currency, code = place_of(message.owner_id), message.currency, message.account
        if place is None or not _is_named_currency(currency) or not _is_named_account(code):
            return None
        places.append(AccountPlace(place[1], code, currency))
    return places


def _read_transfers(messages: Iterable[ledger_pb2.TransferRequest]) -> list[TransferOrder] | None:
    transfers = []
    for message in messages:
        debit_code, credit_code, amount_minor = message.debit_account, message.credit_account, message.amount_minor
        if (
            not 0 < amount_minor <= _AMOUNT_MAX
            or not _is_code(debit_code)
            or not _is_code(credit_code)
            or message.kind > ledger_pb2.TRANSFER_KIND_POSTED
            or message.kind < 0
            or message.target_transaction_id
            or message.target_index
            or message.HasField("expire_time")
        ):
            return None
        transfers.append(TransferOrder(debit_code, credit_code, amount_minor))
    return transfers

"""The quick reading of plain transactions: it takes nothing that the proto refuses, and agrees with its rules."""

from typing import Any
from uuid import UUID

import protovalidate
from hypothesis import given
from hypothesis import strategies as st

from quittance.ledger.v1 import ledger_pb2
from services.ledger.domain.commands import PostTransaction, TransferOrder
from services.ledger.domain.results import AccountPlace
from services.ledger.domain.transactions import fingerprint_of
from services.ledger.servicer.plain import read_names, read_plain
from services.runtime.ids import fingerprint
from services.runtime.wire_ids import wire_id
from tests.ledger.requests import in_days

ID = "0190a5e4-0000-7000-8000-000000000001"
ids = st.sampled_from([ID, ID, ID, ID.upper(), ID.replace("-", ""), ID[:-1], f"{ID}0", "", f"{{{ID[1:-1]}}}", ID[::-1]])
codes = st.one_of(
    st.sampled_from(["a", "a:b", "a_1:B.c-d", "a" * 200]),
    st.sampled_from(["", "A", "a:", ":", "a b", "a\n", "1", "a" * 201]),
)
good_codes = st.sampled_from(["a", "a:b", "revenue:1"])
transfers = st.builds(
    ledger_pb2.TransferRequest,
    debit_account=st.one_of(good_codes, codes),
    credit_account=st.one_of(good_codes, codes),
    amount_minor=st.sampled_from([1, 1, 1, 10**15, 0, -1, 10**15 + 1]),
    kind=st.sampled_from([0, 0, 0, 1, 2, 3, 9, -1]),
    target_index=st.sampled_from([0, 0, 0, 1, -1]),
    expire_time=st.sampled_from([None, None, None, in_days(1)]),
)
transactions = st.builds(
    ledger_pb2.Transaction,
    transaction_id=ids,
    owner_id=ids,
    currency=st.sampled_from(["OMR", "OMR", "USD", "usd", "", "OMRX", "OMR\n"]),
    reason=st.sampled_from(["test.x", "test.x", "a", "", "A", "a-b", "a\n", "a" * 101]),
    transfers=st.lists(transfers, max_size=2),
    metadata=st.sampled_from([{}, {}, {}, {"a": "b"}]),
)


def place_of(text: str) -> tuple[UUID, int] | None:
    owner_id = wire_id(text)
    return None if owner_id is None else (owner_id, 3)


@given(transactions)
def test_plain_reading_takes_nothing_that_breaks_a_rule(transaction: ledger_pb2.Transaction) -> None:
    commands = read_plain([transaction], place_of)
    if commands is None:
        return
    assert not protovalidate.collect_violations(transaction)
    (command,) = commands
    assert (str(command.transaction_id), command.currency) == (transaction.transaction_id.lower(), transaction.currency)
    asked = [(each.debit_account, each.credit_account, each.amount_minor) for each in transaction.transfers]
    assert [tuple(each[:3]) for each in command.transfers] == asked
    assert not any(each.HasField("expire_time") for each in transaction.transfers)


names = st.builds(
    ledger_pb2.AccountName,
    owner_id=ids,
    currency=st.sampled_from(["OMR", "OMR", "usd", "", "OMRX", "OMR\n"]),
    account=st.sampled_from(["a", "A b\nc", "grant:1", "ß" * 200, "", "a" * 201]),
)


@given(names)
def test_reading_names_takes_those_that_keep_the_rules_and_no_others(name: ledger_pb2.AccountName) -> None:
    places = read_names([name], place_of)
    is_right = not protovalidate.collect_violations(name) and wire_id(name.owner_id) is not None
    assert places == ([AccountPlace(3, name.account, name.currency)] if is_right else None)


def test_plain_reading_takes_what_is_plain() -> None:
    transfer = ledger_pb2.TransferRequest(debit_account="a", credit_account="b:1", amount_minor=10**15)
    transaction = ledger_pb2.Transaction(
        transaction_id=ID, owner_id=ID, currency="OMR", reason="test.x", transfers=[transfer]
    )
    expected = PostTransaction(3, UUID(ID), "OMR", "test.x", UUID(ID), [TransferOrder("a", "b:1", 10**15)])
    assert read_plain([transaction], place_of) == [expected]


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), st.integers(1, 10**15)), max_size=3), st.text())
def test_fingerprint_of_plain_movements_is_that_of_their_parts(movements: list[Any], reason: str) -> None:
    """Stored for years: the quick way must never say anything else than the general one."""
    command = PostTransaction(0, UUID(ID), "OMR", reason, UUID(ID), [TransferOrder(*each) for each in movements])
    parts = ("transaction", UUID(ID), "OMR", reason, [value for movement in movements for value in movement])
    assert fingerprint_of(command) == fingerprint(*parts)

"""Qualifications: conditions in the Common Expression Language, checked when they are saved, evaluated for baskets.

The library neither checks types nor limits what an expression costs. So an expression may be used only when it is
short, all its names and functions are known, it goes through at most one list, and it has given a bool for a sample.
"""

from functools import lru_cache
from typing import Any
from uuid import UUID

import cel

from services.vouchers.domain.commands import Basket, CustomerFacts, OrderLine
from services.vouchers.domain.expressions import check_names
from services.vouchers.errors.campaigns import InvalidQualification

EXPRESSION_LENGTH_MAX = 1024
_PROGRAMS_REMEMBERED = 1024
_SAMPLE = Basket(
    customer_id=UUID(int=1),
    currency="USD",
    lines=(
        OrderLine(1, UUID(int=2), 2, 1_999, ("sample",)),
        OrderLine(2, UUID(int=3), 1, 25_000),
    ),
    facts=CustomerFacts(orders_placed=3, tags=("sample",)),
)


def check_qualification(expression: str) -> None:
    """Nothing when the expression may be saved; empty is none. Raises INVALID_QUALIFICATION."""
    if not expression:
        return
    if len(expression) > EXPRESSION_LENGTH_MAX:
        raise InvalidQualification(cause="length", found=str(len(expression)))
    check_names(expression)
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise InvalidQualification(cause="syntax", found=str(error)) from None
    try:
        answer = program.execute(_context(_SAMPLE))
    except Exception as error:  # noqa: BLE001 - the library raises whatever fits, from KeyError to RuntimeError
        raise InvalidQualification(cause="evaluation", found=str(error)) from None
    if not isinstance(answer, bool):
        raise InvalidQualification(cause="type", found=type(answer).__name__)


def qualifies(expression: str, basket: Basket) -> bool | None:
    """Whether the expression is true for the basket; None: it cannot be evaluated, or gives no bool."""
    try:
        answer = _program(expression).execute(_context(basket))
    except Exception:  # noqa: BLE001 - whatever it was, the answer is a refusal that says so
        return None
    return answer if isinstance(answer, bool) else None


@lru_cache(_PROGRAMS_REMEMBERED)
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)


def _context(basket: Basket) -> dict[str, Any]:
    customer: dict[str, Any] = {"id": str(basket.customer_id)}
    if basket.facts is not None:
        customer |= {"orders_placed": basket.facts.orders_placed, "tags": list(basket.facts.tags)}
    lines = [
        {
            "product_id": str(line.product_id),
            "categories": list(line.categories),
            "quantity": line.quantity,
            "amount_minor": line.amount_minor,
        }
        for line in basket.lines
    ]
    order = {
        "currency": basket.currency,
        "subtotal_minor": basket.subtotal_minor,
        "quantity": sum(line.quantity for line in basket.lines),
        "lines": lines,
    }
    return {"order": order, "customer": customer}

"""What a double knows of money, apart from the objects that its API shows: the truth that tests compare with."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Movement:
    """Money taken (positive) or given back (negative), in our minor units. `order_id` is empty when it is not ours."""

    payment: str
    order_id: str
    amount_minor: int
    currency: str


@dataclass
class Journal:
    """All movements, in the order in which they happened, and how often each call was made."""

    movements: list[Movement] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def took(self, payment: str, order_id: str, amount_minor: int, currency: str) -> None:
        self.movements.append(Movement(payment, order_id, amount_minor, currency))

    def gave_back(self, payment: str, order_id: str, amount_minor: int, currency: str) -> None:
        self.movements.append(Movement(payment, order_id, -amount_minor, currency))

    def balance(self, payment: str) -> int:
        """What is left of a payment at the provider."""
        return sum(each.amount_minor for each in self.movements if each.payment == payment)

    def taken(self, order_id: str) -> int:
        """What an order's customer is out of pocket."""
        return sum(each.amount_minor for each in self.movements if each.order_id == order_id)

    def total(self, currency: str) -> int:
        return sum(each.amount_minor for each in self.movements if each.currency == currency)

    def count(self, call: str) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1

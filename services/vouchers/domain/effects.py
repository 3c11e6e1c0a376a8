"""What a redemption does: the effects of campaigns. Their arithmetic is in discounts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from services.vouchers.domain.kinds import EffectKind

# The numbers that a discount is computed with, by name: amounts in minor units, pieces, basis points.
Parameters = Mapping[str, int]
BASIS_POINTS_ALL = 10_000


@dataclass(frozen=True, slots=True)
class ProductSelection:
    """Products, by what they are or by their categories."""

    product_ids: frozenset[UUID] = frozenset()
    categories: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.product_ids or self.categories)

    def selects(self, product_id: UUID, categories: Collection[str]) -> bool:
        """Whether the product stands in the list, or one of its categories does."""
        return product_id in self.product_ids or not self.categories.isdisjoint(categories)


NO_PRODUCTS = ProductSelection()


@dataclass(frozen=True, slots=True)
class CreditGrantEffect:
    """Gives credits. Lower `priority` burns first; they expire `valid_days` after the redemption, 0: never."""

    kind: ClassVar[EffectKind] = EffectKind.CREDIT_GRANT

    amount_minor: int
    currency: str
    priority: int
    valid_days: int

    @property
    def parameters(self) -> Parameters:
        """The numbers that the campaign stores."""
        return {"amount_minor": self.amount_minor, "priority": self.priority, "valid_days": self.valid_days}


@dataclass(frozen=True, slots=True)
class AmountOffEffect:
    """Takes a fixed amount off the eligible lines, at most what is left of them."""

    kind: ClassVar[EffectKind] = EffectKind.AMOUNT_OFF

    amount_minor: int
    currency: str

    @property
    def parameters(self) -> Parameters:
        """The numbers that the discount is computed with."""
        return {"amount_minor": self.amount_minor}


@dataclass(frozen=True, slots=True)
class PercentOffEffect:
    """Takes a part of the eligible lines off, in hundredths of a percent; `ceiling_minor` 0: no ceiling."""

    kind: ClassVar[EffectKind] = EffectKind.PERCENT_OFF

    basis_points: int
    currency: str
    ceiling_minor: int = 0

    @property
    def parameters(self) -> Parameters:
        """The numbers that the discount is computed with."""
        return {"basis_points": self.basis_points, "ceiling_minor": self.ceiling_minor}


@dataclass(frozen=True, slots=True)
class FreeItemEffect:
    """Makes pieces of certain products free, the cheapest first."""

    kind: ClassVar[EffectKind] = EffectKind.FREE_ITEM

    products: ProductSelection
    pieces_max: int
    currency: str

    @property
    def parameters(self) -> Parameters:
        """The numbers that the discount is computed with."""
        return {"pieces_max": self.pieces_max}


@dataclass(frozen=True, slots=True)
class CheapestFreeEffect:
    """Makes the cheapest pieces free, of at least `pieces_min`."""

    kind: ClassVar[EffectKind] = EffectKind.CHEAPEST_FREE

    pieces: int
    pieces_min: int
    currency: str

    @property
    def parameters(self) -> Parameters:
        """The numbers that the discount is computed with."""
        return {"pieces": self.pieces, "pieces_min": self.pieces_min}


@dataclass(frozen=True, slots=True)
class BuyGetEffect:
    """For so many pieces bought, so many others cheaper. No products to buy: any; none to get: those to buy.

    `times_max` 0: as often as the order has pieces for it.
    """

    kind: ClassVar[EffectKind] = EffectKind.BUY_GET

    buy_products: ProductSelection
    buy_pieces: int
    get_products: ProductSelection
    get_pieces: int
    basis_points: int
    times_max: int
    currency: str

    @property
    def parameters(self) -> Parameters:
        """The numbers that the discount is computed with."""
        return {
            "buy_pieces": self.buy_pieces,
            "get_pieces": self.get_pieces,
            "basis_points": self.basis_points,
            "times_max": self.times_max,
        }


Discount = AmountOffEffect | PercentOffEffect | FreeItemEffect | CheapestFreeEffect | BuyGetEffect
Effect = CreditGrantEffect | Discount

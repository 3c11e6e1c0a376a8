"""Whether a stored discount is what its stored inputs give."""

from services.vouchers.domain.discounts import recompute
from services.vouchers.domain.redemptions import Redemption


def check_discount(redemption: Redemption) -> tuple[str, str] | None:
    """What the shares and their sum should be and what they are, when they differ; None when all is right."""
    benefit = redemption.benefit
    if benefit is None:
        return None
    expected = recompute(benefit)
    stored = [line.discount_minor for line in benefit.lines]
    if stored == expected and sum(stored) == benefit.discount_minor:
        return None
    return f"{sum(expected)} as {expected}", f"{benefit.discount_minor} as {stored}"

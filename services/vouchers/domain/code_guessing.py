"""How often a customer may offer codes that nobody has.

What is counted are different codes within a window that moves along: the same wrong code again, which is what a caller
sends who had no answer, is no further guess. While the limit is reached no code of this customer is looked at, a right
one neither: the answer would tell it from a wrong one. Vouchers named by their id are no guesses.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.runtime.ids import fingerprint
from services.vouchers.domain.vouchers import VoucherReference
from services.vouchers.errors.codes import TooManyAttempts


@dataclass(frozen=True, slots=True)
class GuessLimit:
    """So many different unknown codes within a window; 0: as many as one likes."""

    misses_max: int
    window: timedelta


NO_LIMIT = GuessLimit(0, timedelta(0))


@dataclass(frozen=True, slots=True)
class Miss:
    """One unknown code that a customer offered; only a digest, because it may be a right one but for one letter."""

    customer_id: UUID
    code_digest: bytes
    missed_at: datetime


@dataclass(slots=True)
class Guesses:
    """The misses that still count, by customer and code, and those that are new and to be stored."""

    limit: GuessLimit = NO_LIMIT
    misses: dict[UUID, dict[bytes, datetime]] = field(default_factory=dict)
    made: list[Miss] = field(default_factory=list)

    def check(self, customer_id: UUID, offered: Iterable[VoucherReference], now: datetime) -> None:
        """Raises TOO_MANY_ATTEMPTS when there are codes among what is offered and the limit is reached."""
        misses = self.misses.get(customer_id, {})
        if 0 < self.limit.misses_max <= len(misses) and any(is_guess(reference) for reference in offered):
            raise self._too_many(misses, now)

    def count(
        self, customer_id: UUID, offered: Collection[VoucherReference], known: Iterable[VoucherReference], now: datetime
    ) -> None:
        """Counts the codes offered that are not among the known ones.

        Raises TOO_MANY_ATTEMPTS when the limit was reached before, or is passed by this: then nothing that was offered
        may be answered. What this counts is stored all the same.
        """
        self.check(customer_id, offered, now)
        if not self.limit.misses_max:
            return
        misses = self.misses.setdefault(customer_id, {})
        digests = {fingerprint(each.code_normal) for each in set(offered).difference(known) if is_guess(each)}
        for digest in sorted(digests - misses.keys()):
            misses[digest] = now
            self.made.append(Miss(customer_id, digest, now))
        if len(misses) > self.limit.misses_max:
            raise self._too_many(misses, now)

    def _too_many(self, misses: dict[bytes, datetime], now: datetime) -> TooManyAttempts:
        """Until so many of the oldest have left the window that one more would be looked at."""
        last_in_the_way = sorted(misses.values())[len(misses) - self.limit.misses_max]
        wait_s = max((last_in_the_way + self.limit.window - now).total_seconds(), 1.0)
        return TooManyAttempts(attempts_max=self.limit.misses_max, retry_after_s=round(wait_s, 3))


def is_guess(reference: VoucherReference) -> bool:
    """Whether this way to name a voucher can be tried out."""
    return reference.code_normal is not None

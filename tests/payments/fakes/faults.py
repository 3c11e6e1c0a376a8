"""How a double misbehaves: chosen faults for the next calls, or dice for all of them."""

import enum
import random
from collections import deque


class Fault(enum.Enum):
    """One way to answer badly."""

    ERROR_BEFORE = "500 and nothing has happened"
    ERROR_AFTER = "500 although it has happened"
    RATE_LIMITED = "429"
    GARBAGE = "200 and a body that is no answer"
    CUT_OFF = "the connection is closed without an answer, although it has happened"


class Faults:
    """Asked once per call. `rate`: the share of calls with a fault, 0 to 1, when none is queued."""

    def __init__(self, dice: random.Random | None = None) -> None:
        self._dice = dice or random.Random(0)
        self._queued: deque[tuple[str, Fault]] = deque()
        self.rate = 0.0

    def queue(self, call: str, *faults: Fault) -> None:
        """The next calls of this name get these faults, one each."""
        self._queued.extend((call, fault) for fault in faults)

    def next(self, call: str) -> Fault | None:
        for queued in self._queued:
            if queued[0] == call:
                self._queued.remove(queued)
                return queued[1]
        if self.rate and self._dice.random() < self.rate:
            return self._dice.choice(list(Fault))
        return None

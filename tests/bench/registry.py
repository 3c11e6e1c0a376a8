"""What a benchmark is: a coroutine with a name that measures and answers rows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Benchmark = Callable[[], Awaitable[Sequence["Row"]]]

BENCHMARKS: dict[str, Benchmark] = {}
# Those that take so long that they are run by their name only.
LONG: set[str] = set()


@dataclass(frozen=True)
class Row:
    """One figure, next to the one that it is to be compared with, taken in the same run."""

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float
    conditions: Mapping[str, object]

    @property
    def ratio(self) -> float:
        """How many times the reference it is: of latencies less is better, of rates more."""
        return self.value / self.reference_value


def benchmark(name: str, *, is_long: bool = False) -> Callable[[Benchmark], Benchmark]:
    """Registers a benchmark under the name that the command line takes."""

    def register(run: Benchmark) -> Benchmark:
        BENCHMARKS[name] = run
        if is_long:
            LONG.add(name)
        return run

    return register

"""Latencies and rates of several things in one run, measured in turns, so that noise hits all of them alike."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

# Does the thing once. Answers seconds by name for moments on its way; its end is measured here.
Action = Callable[[], Awaitable[Mapping[str, float] | None]]
# Does the thing once for one of several callers, by his number.
CallersAction = Callable[[int], Awaitable[object]]


SAMPLES_MIN = 10


@dataclass(frozen=True)
class Latency:
    """Of one thing, in milliseconds."""

    median_ms: float
    p95_ms: float
    samples: int


@dataclass(frozen=True)
class Rate:
    """Of one thing, and what one of it cost each process in processor time."""

    per_s: float
    cpu_ms_each: Mapping[str, float]


async def latencies(
    actions: Mapping[str, Action], *, warm_up: int, samples: int, within_s: float
) -> dict[str, Latency]:
    """One after the other, each round in another order. Moments on the way stand under their own names.

    A slow machine takes fewer samples: no round is begun `within_s` after the first.
    """
    taken: dict[str, list[float]] = {}
    names = list(actions)
    started = time.perf_counter()
    for number in range(warm_up + samples):
        if number >= warm_up + SAMPLES_MIN and time.perf_counter() - started > within_s:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured = await _timed(name, actions[name])
            if number >= warm_up:
                for moment, seconds in measured.items():
                    taken.setdefault(moment, []).append(seconds * 1000)
    return {name: _latency(of_name) for name, of_name in taken.items()}


async def rates(
    actions: Mapping[str, CallersAction],
    *,
    callers: int,
    slices: int,
    slice_s: float,
    cpu_seconds: Callable[[], Mapping[str, float]] = dict,
) -> dict[str, Rate]:
    """How many a second of each, with so many callers at once; each thing has the machine for a slice, in turns.

    `cpu_seconds`: processor time so far, by process.
    """
    done = dict.fromkeys(actions, 0)
    spent_s = dict.fromkeys(actions, 0.0)
    used_s: dict[str, Counter[str]] = {name: Counter() for name in actions}
    for _ in range(slices):
        for name, action in actions.items():
            before = cpu_seconds()
            count, seconds = await _slice(action, callers, slice_s)
            after = cpu_seconds()
            done[name] += count
            spent_s[name] += seconds
            used_s[name].update({process: after[process] - before[process] for process in after})
    return {name: _rate(done[name], spent_s[name], used_s[name]) for name in actions}


async def _timed(name: str, action: Action) -> dict[str, float]:
    started = time.perf_counter()
    moments = await action()
    return {name: time.perf_counter() - started, **(moments or {})}


async def _slice(action: CallersAction, callers: int, slice_s: float) -> tuple[int, float]:
    """How many were done in how many seconds; what is begun within the slice is finished and counted."""
    started = time.perf_counter()

    async def call(number: int) -> int:
        count = 0
        while time.perf_counter() - started < slice_s:
            await action(number)
            count += 1
        return count

    counts = await asyncio.gather(*(call(number) for number in range(callers)))
    return sum(counts), time.perf_counter() - started


def _rate(done: int, spent_s: float, used_s: Mapping[str, float]) -> Rate:
    each = {process: round(1000 * seconds / done, 2) for process, seconds in used_s.items()}
    return Rate(done / spent_s, each)


def _latency(samples_ms: list[float]) -> Latency:
    p95_ms = statistics.quantiles(samples_ms, n=20)[-1]
    return Latency(statistics.median(samples_ms), p95_ms, len(samples_ms))

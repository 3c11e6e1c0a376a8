"""The undo stack of a workflow.

An undo is registered before its step is tried, because a call that timed out may have worked. Undos run in reverse
order of registration, side by side unless one names others that it must come after. Each is made of steps that never
give up, so that one which does not get through holds up only those that name it. Whoever runs them shields them from
cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass

from orchestrator.concurrency import all_of


@dataclass(frozen=True)
class Undo:
    """How a step is undone, and which other undos it must wait for."""

    run: Callable[[], Awaitable[object]]
    after: Sequence[str] = ()


class Saga:
    """What a workflow has to undo.

    `to_undo` and `undone` hold names of `undos`. They are part of the workflow's progress, so that they outlive a run.
    """

    def __init__(
        self,
        undos: Mapping[str, Undo],
        to_undo: MutableSequence[str],
        undone: MutableSequence[str],
    ) -> None:
        self._undos = undos
        self._to_undo = to_undo
        self._undone = undone

    def register(self, name: str) -> None:
        """Puts a step on the stack; to be called before the step is tried. Registering it twice is once."""
        if name not in self._to_undo:
            self._to_undo.append(name)

    def is_registered(self, name: str) -> bool:
        """Whether the step may have had an effect."""
        return name in self._to_undo

    def left(self) -> list[str]:
        """What is still to be undone, in the order of its undoing."""
        return [name for name in reversed(self._to_undo) if name not in self._undone]

    async def undo_all(self) -> None:
        """Runs what is left to its end. Raises the first thing that an undo raises, once the others are cancelled."""
        tasks: dict[str, asyncio.Task[None]] = {}
        for name in self.left():
            before = [tasks[other] for other in self._undos[name].after if other in tasks]
            tasks[name] = asyncio.create_task(self._undo_one(name, before))
        await all_of(list(tasks.values()))

    async def _undo_one(self, name: str, before: Sequence[asyncio.Task[None]]) -> None:
        for task in before:
            await task
        await self._undos[name].run()
        self._undone.append(name)

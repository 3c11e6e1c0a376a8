"""Records the histories that today's workflows are held to: `python -m tests.orchestrator.record_histories [NAME ...]`.

Without names it records those that are missing. A recorded history is what running orders look like, so it is never
recorded anew to make a test pass; see docs/decisions/0010-versioning.md.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from temporalio.client import WorkflowHistory

from tests.faulty_stack import FaultyStack
from tests.orchestrator.paths import LONG_PATHS, PATHS, Path
from tests.shop import repeatable_ids

DIRECTORY = FilePath(__file__).with_name("histories")
EVENTS_PER_RUN = 40
# Names of machines and processes, and where the code lies there: nothing that a replay looks at.
SCRUBBED = {"identity": "recorder", "stackTrace": "", "requestId": "", "workerVersion": None}


def files_of(name: str) -> list[FilePath]:
    """The histories of one path: one for each run of each of its workflows."""
    return sorted(path for path in DIRECTORY.glob(f"{name}.*.json") if path.name.split(".")[0] == name)


async def record(names: Iterable[str]) -> None:
    """Walks these paths and writes what the workflows' histories are then."""
    DIRECTORY.mkdir(exist_ok=True)
    wanted = set(names)
    for paths, events_per_run in ((PATHS, None), (LONG_PATHS, EVENTS_PER_RUN)):
        chosen = {name: path for name, path in paths.items() if name in wanted}
        if chosen:
            with tempfile.TemporaryDirectory() as directory:
                await _record(chosen, FilePath(directory), events_per_run)


async def _record(paths: Mapping[str, Path], directory: FilePath, events_per_run: int | None) -> None:
    async with FaultyStack(directory, events_per_run=events_per_run) as stack:
        for name, path in paths.items():
            with repeatable_ids(name):
                workflow_ids = await path(stack)
            histories = [history for each in workflow_ids for history in await _histories(stack, each)]
            for old in files_of(name):
                old.unlink()
            for number, history in enumerate(histories, start=1):
                _write(DIRECTORY / f"{name}.{number}.json", history)
            print(f"{name}: {', '.join(str(len(history.events)) for history in histories)} events", flush=True)


async def _histories(stack: FaultyStack, workflow_id: str) -> list[WorkflowHistory]:
    """Every run of the workflow, the first one first."""
    newest = stack.temporal.get_workflow_handle(workflow_id)
    run_id: str | None = (await newest.describe()).run_id
    histories: list[WorkflowHistory] = []
    while run_id:
        history = await stack.temporal.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        histories.insert(0, history)
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return histories


def _write(path: FilePath, history: WorkflowHistory) -> None:
    events = _scrubbed(history.to_json_dict())
    path.write_text(json.dumps({"workflowId": history.workflow_id, **events}, indent=1, sort_keys=True) + "\n")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: SCRUBBED[key] if key in SCRUBBED else _scrubbed(part)
            for key, part in value.items()
            if SCRUBBED.get(key, key) is not None
        }
    if isinstance(value, list):
        return [_scrubbed(part) for part in value]
    # The queue of a worker's own is named after its machine.
    return re.sub(r"\d+@[\w.-]+", "recorder", value) if isinstance(value, str) else value


def main(names: list[str]) -> None:
    """The command line."""
    known = [*PATHS, *LONG_PATHS]
    if unknown := set(names) - set(known):
        sys.exit(f"no such path: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    asyncio.run(record(names or [name for name in known if not files_of(name)]))


if __name__ == "__main__":
    main(sys.argv[1:])

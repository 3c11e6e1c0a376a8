"""What our namespace at Temporal must have: itself, search attributes, schedules. Looked at, and made where missing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributeIndexedValueType, SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.order_story import SEARCH_ATTRIBUTES
from orchestrator.schedules import Repeated

RETENTION_OF_NEW = timedelta(days=30)

# A cluster's processes learn of a new namespace or attribute by and by.
_KNOWN_WITHIN_S = 60.0
_ASK_EVERY_S = 0.25
_CALL_TIMEOUT = timedelta(seconds=10)

_TYPES = SearchAttributeIndexedValueType
_ANY_TEXT = "'x'"
_ANY_VALUE = {_TYPES.BOOL: "true", _TYPES.INT: "0"}

_REFUSED = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.UNIMPLEMENTED)
_NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT)


class NotSetUp(Exception):
    """The namespace lacks what orders need; the text says what."""


class SetupFailed(Exception):
    """The namespace could not be brought to what it must be; the text says why and what to do."""


class NotPermitted(SetupFailed):
    """These credentials may not do it, or this server leaves it to another tool."""


class AttributeOfOtherType(SetupFailed):
    """A search attribute is there, but for values of another type. It can neither be changed nor used."""


class NoRoomForAttributes(SetupFailed):
    """The namespace has as many search attributes of this type as it can have."""


@dataclass(frozen=True)
class Part:
    """One thing looked at; `change` is what was done with it, or would be: "added (keyword)"; empty: nothing."""

    name: str
    change: str = ""


async def require_search_attributes(client: Client) -> None:
    """An order's workflow fails on a search attribute that its namespace does not know: then take no orders.

    Asks as anybody may who may list orders. Raises NotSetUp; RPCError when it cannot be told.
    """
    try:
        await client.count_workflows(_query_with_all(), rpc_timeout=_CALL_TIMEOUT)
    except RPCError as error:
        if error.status not in _NOT_YET:
            raise
        raise NotSetUp(
            f"namespace {client.namespace} is not set up, see `python -m orchestrator.setup`: {error.message}"
        ) from error


async def set_up(
    client: Client, task_queue: str, schedules: Sequence[Repeated], *, retention: timedelta | None, dry_run: bool
) -> AsyncIterator[Part]:
    """Makes what is missing and changes what differs; run again, it finds nothing to do.

    retention: how long histories of ended workflows are kept; None: 30 days in a new namespace, else as it is.
    Raises SetupFailed and its kinds, RPCError for what is not expected of Temporal.
    """
    today = await _retention_today(client)
    if today is None:
        yield await _create_namespace(client, retention or RETENTION_OF_NEW, dry_run=dry_run)
        if dry_run:
            return
    else:
        yield await _change_retention(client, today, retention or today, dry_run=dry_run)
    async for part in _search_attributes(client, dry_run=dry_run):
        yield part
    for repeated in schedules:
        yield await _schedule(client, repeated, task_queue, dry_run=dry_run)


async def _retention_today(client: Client) -> timedelta | None:
    """None: there is no such namespace."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        with _explained(f"namespace {client.namespace}"):
            described = await client.workflow_service.describe_namespace(request, timeout=_CALL_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


async def _change_retention(client: Client, today: timedelta, retention: timedelta, *, dry_run: bool) -> Part:
    part = f"namespace {client.namespace}"
    if retention == today:
        return Part(part)
    request = UpdateNamespaceRequest(
        namespace=client.namespace, config=NamespaceConfig(workflow_execution_retention_ttl=_duration(retention))
    )
    if not dry_run:
        with _explained(part):
            await client.workflow_service.update_namespace(request, timeout=_CALL_TIMEOUT)
    return Part(part, f"changed from {today.days} to {retention.days} days of retention")


async def _create_namespace(client: Client, retention: timedelta, *, dry_run: bool) -> Part:
    part = Part(f"namespace {client.namespace}", f"created with {retention.days} days of retention")
    if dry_run:
        return part
    request = RegisterNamespaceRequest(
        namespace=client.namespace, workflow_execution_retention_period=_duration(retention)
    )
    try:
        with _explained(part.name):
            await client.workflow_service.register_namespace(request, timeout=_CALL_TIMEOUT)
    except RPCError as error:
        # Another one has been quicker.
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    await _until_known(part.name, client.count_workflows)
    return part


async def _search_attributes(client: Client, *, dry_run: bool) -> AsyncIterator[Part]:
    known = await _known_attributes(client)
    if known is None:
        # Whoever may not look at attributes may still use them.
        await _require_usable(client)
        yield Part("search attributes")
        return
    for key in SEARCH_ATTRIBUTES:
        if known.get(key.name, int(key.indexed_value_type)) != key.indexed_value_type:
            raise AttributeOfOtherType(
                f"search attribute {key.name} of namespace {client.namespace} is for {_name(known[key.name])}, "
                f"and orders need it for {_name(key.indexed_value_type)}: use another namespace"
            )
    missing = [key for key in SEARCH_ATTRIBUTES if key.name not in known]
    if missing and not dry_run:
        await _add(client, missing)
    for key in SEARCH_ATTRIBUTES:
        change = f"added ({_name(key.indexed_value_type)})" if key in missing else ""
        yield Part(f"search attribute {key.name}", change)


async def _known_attributes(client: Client) -> dict[str, int] | None:
    """Name → type; None when we may not know."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        with _explained("search attributes"):
            found = await client.operator_service.list_search_attributes(request, timeout=_CALL_TIMEOUT)
    except NotPermitted:
        return None
    return {name: int(kind) for name, kind in found.custom_attributes.items()}


async def _require_usable(client: Client) -> None:
    try:
        await require_search_attributes(client)
    except NotSetUp as error:
        wanted = ", ".join(f"{key.name} ({_name(key.indexed_value_type)})" for key in SEARCH_ATTRIBUTES)
        raise NotPermitted(
            f"these credentials may not add search attributes to namespace {client.namespace}, and not all are "
            f"there. It must have: {wanted}"
        ) from error


async def _add(client: Client, keys: Sequence[SearchAttributeKey[Any]]) -> None:
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes={key.name: int(key.indexed_value_type) for key in keys},  # type: ignore[misc]
    )
    try:
        with _explained("search attributes"):
            await client.operator_service.add_search_attributes(request, timeout=_CALL_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT and "cannot have more than" in error.message:
            raise NoRoomForAttributes(f"namespace {client.namespace}: {error.message}") from error
        # Another one has been quicker.
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    await _until_known("search attributes", lambda: client.count_workflows(_query_with_all()))


async def _schedule(client: Client, repeated: Repeated, task_queue: str, *, dry_run: bool) -> Part:
    part = f"schedule {repeated.schedule_id}"
    wanted = repeated.schedule(task_queue)
    handle = client.get_schedule_handle(repeated.schedule_id)
    try:
        with _explained(part):
            found = (await handle.describe(rpc_timeout=_CALL_TIMEOUT)).schedule
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        if not dry_run:
            await _create_schedule(client, repeated.schedule_id, wanted)
        return Part(part, f"created, every {repeated.every}")
    if await _facts(client, found) == await _facts(client, wanted):
        return Part(part)

    def changed(before: ScheduleUpdateInput) -> ScheduleUpdate:
        # Whether it is paused, and why, is the operators' business.
        wanted.state = before.description.schedule.state
        return ScheduleUpdate(wanted)

    if not dry_run:
        with _explained(part):
            await handle.update(changed, rpc_timeout=_CALL_TIMEOUT)
    return Part(part, f"changed, every {repeated.every}")


async def _create_schedule(client: Client, schedule_id: str, wanted: Schedule) -> None:
    with _explained(f"schedule {schedule_id}"):
        try:
            await client.create_schedule(schedule_id, wanted, rpc_timeout=_CALL_TIMEOUT)
        except ScheduleAlreadyRunningError:
            # Another one has been quicker; the next run compares.
            return


async def _facts(client: Client, schedule: Schedule) -> tuple[object, ...]:
    """What makes two schedules the same to us."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    # Of what Temporal answers they are still encoded.
    encoded = [each for each in action.args if isinstance(each, Payload)]
    arguments = await client.data_converter.decode(encoded) if encoded else list(action.args)
    when, how = schedule.spec, schedule.policy
    intervals = [(each.every, each.offset or timedelta(0)) for each in when.intervals]
    return (
        *(action.workflow, action.task_queue, action.id, arguments),
        *(intervals, when.calendars, when.jitter, how.overlap, how.catchup_window),
    )


@contextmanager
def _explained(part: str) -> Iterator[None]:
    """A refusal by Temporal says what was refused."""
    try:
        yield
    except RPCError as error:
        if error.status in _REFUSED:
            raise NotPermitted(f"{part}: these credentials may not do this ({error.message})") from error
        raise


async def _until_known(part: str, ask: Callable[[], Awaitable[object]]) -> None:
    """Waits until every process of the cluster that may be asked knows what was made."""
    deadline = asyncio.get_running_loop().time() + _KNOWN_WITHIN_S
    while True:
        try:
            await ask()
        except RPCError as error:
            if error.status not in _NOT_YET or asyncio.get_running_loop().time() > deadline:
                raise SetupFailed(f"{part}: made, but of no use so far ({error.message})") from error
            await asyncio.sleep(_ASK_EVERY_S)
        else:
            return


def _query_with_all() -> str:
    """A condition that names every search attribute, with a value of its type."""
    return " AND ".join(
        f"{key.name} = {_ANY_VALUE.get(key.indexed_value_type, repr('x'))}" for key in SEARCH_ATTRIBUTES
    )


def _duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration


def _name(kind: int) -> str:
    return _TYPES(kind).name.lower().replace("_", " ")

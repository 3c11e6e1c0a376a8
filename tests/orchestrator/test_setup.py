"""The set-up command, on a real server: what is missing is made, what is right stays, what cannot be has a name."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from deploy.local.temporal import TemporalServer
from orchestrator.main import WORKFLOWS
from orchestrator.namespace import (
    AttributeOfOtherType,
    NoRoomForAttributes,
    NotPermitted,
    NotSetUp,
    Part,
    require_search_attributes,
    set_up,
)
from orchestrator.order_story import SEARCH_ATTRIBUTES
from orchestrator.schedules import SCHEDULES, Repeated
from quittance.money.v1 import money_pb2
from services.runtime.temporal import TemporalSettings, temporal_client
from tests.orchestrator.guarded_temporal import Certificates, GuardedTemporal
from tests.shop import fresh_id

CHECKOUT = Path(__file__).resolve().parents[2]
SWEEP = Repeated("test-sweep", "SweepWorkflow", "Sweeps the floor", timedelta(minutes=5))
ADMIN, CLERK = "key-of-an-admin", "key-of-a-clerk"


@pytest.fixture(scope="module")
def server() -> Iterator[TemporalServer]:
    with TemporalServer(headless=True) as started:
        yield started


@pytest.fixture
async def client(server: TemporalServer) -> AsyncIterator[Client]:
    """Of a namespace that is not there yet."""
    async with temporal_client(TemporalSettings(address=server.address, namespace=f"shop-{fresh_id()}")) as connected:
        yield connected


async def brought_about(
    client: Client, *schedules: Repeated, retention: timedelta | None = None, dry_run: bool = False
) -> list[Part]:
    """The parts that were changed."""
    parts = set_up(client, "queue", schedules, retention=retention, dry_run=dry_run)
    return [part async for part in parts if part.change]


async def retention_of(client: Client) -> timedelta:
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


async def test_setup_of_a_new_namespace_makes_everything_and_the_second_run_nothing(client: Client) -> None:
    made = [part.name for part in await brought_about(client, SWEEP)]
    attributes = [f"search attribute {key.name}" for key in SEARCH_ATTRIBUTES]
    assert made == [f"namespace {client.namespace}", *attributes, "schedule test-sweep"]
    assert await brought_about(client, SWEEP) == []
    await require_search_attributes(client)
    assert await retention_of(client) == timedelta(days=30)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    assert dict(known.custom_attributes) == {key.name: int(key.indexed_value_type) for key in SEARCH_ATTRIBUTES}


async def test_setup_by_two_at_once_ends_as_by_one(client: Client) -> None:
    await asyncio.gather(brought_about(client, SWEEP), brought_about(client, SWEEP))
    assert await brought_about(client, SWEEP) == []


async def test_check_of_a_new_namespace_changes_nothing(client: Client) -> None:
    would_be = await brought_about(client, SWEEP, dry_run=True)
    assert [part.name for part in would_be] == [f"namespace {client.namespace}"]
    with pytest.raises(NotSetUp):
        await require_search_attributes(client)
    await brought_about(client)
    assert [part.name for part in await brought_about(client, SWEEP, dry_run=True)] == ["schedule test-sweep"]
    assert [part.name for part in await brought_about(client, SWEEP)] == ["schedule test-sweep"]


async def test_retention_is_changed_only_when_it_is_given(client: Client) -> None:
    await brought_about(client, retention=timedelta(days=9))
    assert await brought_about(client) == []
    assert await retention_of(client) == timedelta(days=9)
    assert len(await brought_about(client, retention=timedelta(days=12))) == 1
    assert await retention_of(client) == timedelta(days=12)


async def test_changed_schedule_is_brought_to_the_table_and_stays_paused(client: Client) -> None:
    await brought_about(client, SWEEP)
    schedule = client.get_schedule_handle(SWEEP.schedule_id)
    await schedule.pause(note="the floor is wet")
    rarely = replace(SWEEP, every=timedelta(hours=6), offset=timedelta(hours=1))
    with_argument = replace(rarely, argument=money_pb2.Money(amount_minor=5, currency="OMR"))
    for wanted in (rarely, with_argument, replace(with_argument, workflow="MopWorkflow")):
        assert [part.name for part in await brought_about(client, wanted)] == ["schedule test-sweep"]
        assert await brought_about(client, wanted) == []
    found = (await schedule.describe()).schedule
    assert [(each.every, each.offset) for each in found.spec.intervals] == [(rarely.every, rarely.offset)]
    assert (found.state.paused, found.state.note) == (True, "the floor is wet")


async def test_attribute_of_another_type_is_named_and_nothing_is_added(client: Client) -> None:
    await brought_about(client, dry_run=True)
    await add_attributes(client, {"QuittanceStuck": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD})
    with pytest.raises(AttributeOfOtherType, match=r"QuittanceStuck.*keyword.*bool"):
        await brought_about(client)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    assert list(known.custom_attributes) == ["QuittanceStuck"]


async def test_namespace_full_of_other_attributes_is_named(client: Client) -> None:
    """Databases have columns for three of this type."""
    others = {f"Other{number}": IndexedValueType.INDEXED_VALUE_TYPE_BOOL for number in range(3)}
    await add_attributes(client, others)
    with pytest.raises(NoRoomForAttributes, match="Bool"):
        await brought_about(client)


async def add_attributes(client: Client, attributes: dict[str, IndexedValueType.ValueType]) -> None:
    """Somebody else's, in a namespace that has nothing yet."""
    parts = set_up(client, "queue", [], retention=None, dry_run=False)
    await anext(parts)
    await parts.aclose()
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=attributes)
    )


@dataclass
class Guarded:
    """A guarded endpoint, and the settings of somebody who may do anything there."""

    endpoint: GuardedTemporal
    admin: TemporalSettings

    @property
    def clerk(self) -> TemporalSettings:
        return self.admin.model_copy(update={"api_key": TemporalSettings(tls=True, api_key=CLERK).api_key})


@pytest.fixture
async def guarded(server: TemporalServer, tmp_path: Path) -> AsyncIterator[Guarded]:
    certificates = Certificates.made_in(tmp_path)
    async with GuardedTemporal(server.address, certificates, {ADMIN: (), CLERK: ()}) as endpoint:
        settings = TemporalSettings(
            address=endpoint.address,
            namespace=f"shop-{fresh_id()}",
            tls=True,
            tls_server_ca_cert_path=certificates.ca_file,
            api_key=ADMIN,
        )
        yield Guarded(endpoint, settings)


async def test_clerk_may_not_make_a_namespace_and_is_told_so(guarded: Guarded) -> None:
    guarded.endpoint.refused[CLERK] = ("RegisterNamespace",)
    async with temporal_client(guarded.clerk) as clerk:
        with pytest.raises(NotPermitted, match=guarded.admin.namespace):
            await brought_about(clerk)


async def test_clerk_who_may_not_touch_attributes_is_told_which_are_missing(guarded: Guarded) -> None:
    """Some servers leave attributes to a tool of their own; once they are there, the rest is done."""
    guarded.endpoint.refused[CLERK] = ("ListSearchAttributes", "AddSearchAttributes")
    async with temporal_client(guarded.admin) as admin, temporal_client(guarded.clerk) as clerk:
        await anext(set_up(admin, "queue", [], retention=None, dry_run=False))
        with pytest.raises(NotPermitted, match=r"QuittanceVouchers \(keyword list\)"):
            await brought_about(clerk)
        await brought_about(admin)
        assert [part.name for part in await brought_about(clerk, SWEEP)] == ["schedule test-sweep"]


async def test_clerk_may_not_make_schedules_and_is_told_which(guarded: Guarded) -> None:
    guarded.endpoint.refused[CLERK] = ("CreateSchedule",)
    async with temporal_client(guarded.clerk) as clerk:
        with pytest.raises(NotPermitted, match="test-sweep"):
            await brought_about(clerk, SWEEP)


async def ran(*arguments: str, **settings: str) -> tuple[int | None, str]:
    """Exit code and everything said by the command, as a Job runs it."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator.setup", *arguments),
        env={name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")} | settings,
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    return command.returncode, said.decode()


async def test_command_answers_by_exit_code_what_it_found(server: TemporalServer) -> None:
    where = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": f"shop-{fresh_id()}"}
    assert (await ran("--check", **where))[0] == 1
    assert (await ran(**where))[0] == 0
    code, said = await ran("--check", **where)
    assert code == 0
    assert len(said.splitlines()) == 1 + len(SEARCH_ATTRIBUTES) + len(SCHEDULES)
    assert all(line.endswith("as it should be") for line in said.splitlines())


async def test_command_without_a_server_says_where_it_looked() -> None:
    code, said = await ran(TEMPORAL_ADDRESS="127.0.0.1:1")
    assert (code, said) == (2, "TemporalUnreachable: Temporal at 127.0.0.1:1: nobody listens there\n")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TEMPORAL_API_KEY", "never-over-an-open-line"),
        ("TEMPORAL_PAYLOAD_CODEC", "no.such.module:Codec"),
        ("TEMPORAL_PAYLOAD_CODEC", "json:dumps"),
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/no/such/file"),
    ],
)
async def test_command_with_settings_that_cannot_be_names_no_value(setting: str, value: str) -> None:
    code, said = await ran(TEMPORAL_ADDRESS="127.0.0.1:1", **{setting: value})
    assert code == 2
    assert "TEMPORAL_" in said
    assert "Traceback" not in said
    assert value not in said


def test_schedules_start_workflows_that_the_worker_knows() -> None:
    definitions = workflow._Definition
    known = {definitions.must_from_class(each).name for each in WORKFLOWS}
    assert {repeated.workflow for repeated in SCHEDULES} <= known
    assert len({repeated.schedule_id for repeated in SCHEDULES}) == len(SCHEDULES)

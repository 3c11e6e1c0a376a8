"""Checkout and the worker against Temporal as production has it: TLS, API keys, a codec, metrics of the SDK."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from deploy.local.ports import free_port
from deploy.local.stack import Stack
from deploy.local.temporal import TemporalServer
from orchestrator.main import main
from orchestrator.namespace import set_up
from orchestrator.settings import OrchestratorSettings
from quittance.checkout.v1 import checkout_pb2
from services.runtime import temporal as runtime_temporal
from services.runtime.temporal import TemporalSettings, TemporalUnreachable, temporal_client
from tests.faults.proxy import until
from tests.orchestrator.encrypting_codec import ENCODING, EncryptingCodec
from tests.orchestrator.guarded_temporal import Certificates, GuardedTemporal
from tests.shop import PRICE_MINOR, Shop, fresh_id

KEY = "key-of-production"
CODEC = f"{EncryptingCodec.__module__}:{EncryptingCodec.__name__}"


@dataclass
class Production:
    """A stack whose processes reach Temporal only with a certificate and a key."""

    stack: Stack
    shop: Shop
    endpoint: GuardedTemporal
    settings: TemporalSettings
    metrics_ports: dict[str, int]


@pytest.fixture(scope="module")
async def production(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    certificates = Certificates.made_in(folder)
    key_file = folder / "key"
    key_file.write_text(f"{KEY}\n")
    stack = Stack(folder / "stack", free_ports=True, headless=True)
    upstream = stack.address("temporal")
    async with GuardedTemporal(upstream, certificates, {KEY: ()}, clients_need_certificates=True) as endpoint:
        environment = {
            "TEMPORAL_ADDRESS": endpoint.address,
            "TEMPORAL_TLS": "true",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(certificates.ca_file),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(certificates.client_cert_file),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(certificates.client_key_file),
            "TEMPORAL_API_KEY_FILE": str(key_file),
            "TEMPORAL_PAYLOAD_CODEC": CODEC,
        }
        ports = {name: free_port() for name in ("checkout", "orchestrator")}
        for name, port in ports.items():
            stack.set_environment(name, environment | {f"{name.upper()}_TEMPORAL_METRICS_ADDRESS": f"127.0.0.1:{port}"})
        async with stack:
            await stack.start()
            async with Shop(stack) as shop:
                with pytest.MonkeyPatch.context() as patched:
                    for name, value in environment.items():
                        patched.setenv(name, value)
                    settings = TemporalSettings()
                yield Production(stack, shop, endpoint, settings, ports)


async def test_order_over_tls_with_a_key_and_a_codec_is_placed(production: Production) -> None:
    customer = fresh_id()
    await production.shop.give_credits(customer, PRICE_MINOR)
    order = await production.shop.place(await production.shop.order(customer))
    assert order.state == checkout_pb2.ORDER_STATE_PLACED


async def test_stored_payloads_of_an_order_are_all_encrypted(production: Production) -> None:
    """Arguments, results, updates, summaries, failures; search attributes stay readable, they are searched."""
    shop = production.shop
    code = await shop.credit_voucher(uses_max=1)
    late = await shop.order(fresh_id(), [code])
    order = await shop.place(await shop.order(fresh_id(), [code]))
    await shop.on_pay_page(order.payment.payment_url, "pay")
    await shop.until_state(order.order_id, checkout_pb2.ORDER_STATE_PLACED)
    assert (await shop.refused(late)).reason == "VOUCHER_EXHAUSTED"
    bare = await Client.connect(production.stack.address("temporal"))
    for order_id in (order.order_id, late.order_id):
        workflow = bare.get_workflow_handle(f"order-{order_id}")
        history = await workflow.fetch_history()
        stored = b"".join(event.SerializeToString() for event in history.events)
        assert stored.count(ENCODING) > 10
        for plain in (
            b"json/protobuf",
            b"quittance.checkout",
            b"Reserve the vouchers",
            b"Order of",
        ):
            assert plain not in stored

    async with temporal_client(production.settings) as knowing:
        result = await knowing.get_workflow_handle(f"order-{late.order_id}").result()
    assert result.refusal.reason == "VOUCHER_EXHAUSTED"


async def test_sdk_metrics_of_worker_and_client_are_there_after_an_order(production: Production) -> None:
    customer = fresh_id()
    await production.shop.give_credits(customer, PRICE_MINOR)
    await production.shop.place(await production.shop.order(customer))
    worker = await metrics_of(production.metrics_ports["orchestrator"])
    assert {
        "temporal_workflow_completed_total",
        "temporal_workflow_endtoend_latency_seconds_bucket",
        "temporal_workflow_task_schedule_to_start_latency_seconds_bucket",
        "temporal_local_activity_execution_latency_seconds_bucket",
        "temporal_sticky_cache_size",
        "temporal_worker_task_slots_available",
        "temporal_num_pollers",
        "temporal_long_request_total",
    } <= worker
    client = await metrics_of(production.metrics_ports["checkout"])
    assert {"temporal_request_total", "temporal_request_latency_seconds_bucket"} <= client


async def metrics_of(port: int) -> set[str]:
    """Names of the samples shown there."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}


async def why_not(settings: TemporalSettings) -> str:
    with pytest.raises(TemporalUnreachable) as raised:
        async with temporal_client(settings):
            pass
    return str(raised.value)


async def test_wrong_authority_is_told_with_its_setting(production: Production, tmp_path: Path) -> None:
    other = Certificates.made_in(tmp_path)
    wrong = production.settings.model_copy(update={"tls_server_ca_cert_path": other.ca_file})
    assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH" in await why_not(wrong)
    unset = production.settings.model_copy(update={"tls_server_ca_cert_path": None})
    assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH" in await why_not(unset)


async def test_certificate_for_another_name_is_told_and_the_name_can_be_set(
    production: Production, tmp_path: Path
) -> None:
    certificates = Certificates.made_in(tmp_path)
    upstream = production.stack.address("temporal")
    async with GuardedTemporal(upstream, certificates, {KEY: ()}, host="temporal.test") as endpoint:
        settings = production.settings.model_copy(
            update={"address": endpoint.address, "tls_server_ca_cert_path": certificates.ca_file}
        )
        assert "TEMPORAL_TLS_SERVER_NAME" in await why_not(settings)
        async with temporal_client(settings.model_copy(update={"tls_server_name": "temporal.test"})) as client:
            assert await client.service_client.check_health()


async def test_missing_client_certificate_is_told(production: Production) -> None:
    without = production.settings.model_copy(update={"tls_client_cert_path": None, "tls_client_key_path": None})
    assert "TEMPORAL_TLS_CLIENT_CERT_PATH" in await why_not(without)


async def test_plain_connection_to_a_tls_endpoint_is_told(production: Production) -> None:
    assert "TEMPORAL_TLS" in await why_not(TemporalSettings(address=production.endpoint.address))


async def test_wrong_key_is_told(production: Production) -> None:
    wrong = production.settings.model_copy(update={"api_key_file": None})
    said = await why_not(wrong)
    assert "TEMPORAL_API_KEY" in said
    assert KEY not in said


async def test_rotated_key_is_used_without_a_restart(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_temporal, "_KEY_RENEWED_EVERY_S", 0.05)
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    settings = production.settings.model_copy(update={"api_key_file": key_file})
    async with temporal_client(settings) as client:
        production.endpoint.refused["key-of-tomorrow"] = ()
        del production.endpoint.refused[KEY]
        try:
            with pytest.raises(RPCError) as refused:
                await client.count_workflows()
            assert refused.value.status is RPCStatusCode.UNAUTHENTICATED
            key_file.write_text("key-of-tomorrow")

            async def is_accepted() -> bool:
                try:
                    await client.count_workflows()
                except RPCError:
                    return False
                return True

            await until(is_accepted)
        finally:
            production.endpoint.refused[KEY] = ()


@pytest.fixture(scope="module")
def empty_server() -> Iterator[TemporalServer]:
    """Without anything that orders need."""
    with TemporalServer(headless=True) as started:
        yield started


async def test_worker_is_ready_only_when_its_namespace_is_set_up(empty_server: TemporalServer, tmp_path: Path) -> None:
    """A worker that cannot get through stays alive and tries again: no certificate, then no search attributes."""
    certificates, other = (Certificates.made_in(folder_in(tmp_path, name)) for name in ("ours", "other"))
    async with GuardedTemporal(empty_server.address, certificates, {KEY: ()}) as endpoint:
        temporal = TemporalSettings(
            address=endpoint.address, tls=True, tls_server_ca_cert_path=other.ca_file, api_key=KEY
        )
        address = f"127.0.0.1:{free_port()}"
        settings = OrchestratorSettings(address=address, readiness_interval_s=0.05, drain_grace_s=1)
        working = asyncio.create_task(main(settings, temporal))
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                assert await state_of(health, "liveness") == "SERVING"
                await asyncio.sleep(1)
                assert await state_of(health) == "NOT_SERVING"
                other.ca_file.write_bytes(certificates.ca_file.read_bytes())
                await asyncio.sleep(2)
                assert await state_of(health) == "NOT_SERVING"
                client = await Client.connect(empty_server.address)
                assert [part async for part in set_up(client, "quittance", [], retention=None, dry_run=False)]

                async def is_serving() -> bool:
                    return await state_of(health) == "SERVING"

                await until(is_serving)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def folder_in(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


async def state_of(health: health_pb2_grpc.HealthStub, service: str = "") -> str:
    request = health_pb2.HealthCheckRequest(service=service)
    response = await health.Check(request, wait_for_ready=True, timeout=60)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))

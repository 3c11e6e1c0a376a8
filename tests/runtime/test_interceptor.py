"""What callers see of a service, whatever they send and whatever happens inside."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from services.runtime.grpc_errors import Refusal, refusal_of
from services.runtime.server import Server
from services.runtime.settings import Settings
from tests.runtime.toy_service import DOMAIN, NAME, PlayRequest, PlayResponse, Toys, service

FUZZ_SEED = 20_380_119
FUZZ_MESSAGES = 3000


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
async def channel(toys: Toys) -> AsyncIterator[grpc.aio.Channel]:
    settings = Settings(address="127.0.0.1:0", concurrent_calls_max=3, drain_grace_s=1)
    async with (
        Server(settings, domain=DOMAIN, services=[service(toys)]) as server,
        grpc.aio.insecure_channel(server.address) as opened,
    ):
        yield opened


async def play(channel: grpc.aio.Channel, request: Any, **options: Any) -> str | Refusal:
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    try:
        answer = await channel.unary_unary(f"/{NAME}/Play")(raw, timeout=60, **options)
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    return str(PlayResponse.FromString(answer).name)


async def refused(channel: grpc.aio.Channel, request: Any) -> Refusal:
    answer = await play(channel, request)
    assert isinstance(answer, Refusal)
    return answer


async def test_call_valid_request_is_answered(channel: grpc.aio.Channel) -> None:
    assert await play(channel, PlayRequest(name="ball")) == "ball"


async def test_call_service_error_carries_reason_domain_and_metadata(channel: grpc.aio.Channel) -> None:
    refusal = await refused(channel, PlayRequest(name="missing"))
    assert refusal.status is grpc.StatusCode.NOT_FOUND
    assert (refusal.reason, refusal.domain, refusal.metadata) == ("TOY_MISSING", DOMAIN, {"name": "missing"})


async def test_call_broken_bytes_are_a_malformed_message(channel: grpc.aio.Channel) -> None:
    refusal = await refused(channel, b"\xff\xff")
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_call_wrong_shape_names_field_and_rule(channel: grpc.aio.Channel) -> None:
    request = PlayRequest(name="ball", parts=[PlayRequest(name="lace"), PlayRequest(name="valve", weight=-1)])
    refusal = await refused(channel, request)
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.metadata == {"field": "parts[1].weight", "rule": "int64.gte"}


async def test_call_wrong_map_key_is_not_quoted(channel: grpc.aio.Channel) -> None:
    """C-3: a key is the caller's content."""
    refusal = await refused(channel, PlayRequest(name="ball", labels={"anna@example.com": ""}))
    assert refusal.metadata["field"] == "labels[key]"
    assert "anna" not in str(refusal)


async def test_call_very_many_violations_still_reach_the_caller(channel: grpc.aio.Channel) -> None:
    """A status larger than the trailers' limit would arrive as RESOURCE_EXHAUSTED."""
    nested = PlayRequest(parts=[PlayRequest() for _ in range(2000)])
    assert (await refused(channel, nested)).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("name", ["bug", "nothing", "stray-cancel"])
async def test_call_bug_in_a_handler_is_internal_with_a_reference_only(channel: grpc.aio.Channel, name: str) -> None:
    refusal = await refused(channel, PlayRequest(name=name))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert refusal.message == f"internal error, reference {refusal.metadata['reference']}"


async def test_call_handler_that_is_not_written_is_unimplemented(channel: grpc.aio.Channel) -> None:
    assert (await refused(channel, PlayRequest(name="unwritten"))).status is grpc.StatusCode.UNIMPLEMENTED


async def test_call_handler_that_aborts_itself_is_left_alone(channel: grpc.aio.Channel) -> None:
    assert (await refused(channel, PlayRequest(name="abort"))).status is grpc.StatusCode.DATA_LOSS


async def test_call_caller_gone_cancels_the_handler(channel: grpc.aio.Channel, toys: Toys) -> None:
    call = channel.unary_unary(f"/{NAME}/Play")(PlayRequest(name="wait").SerializeToString())
    await toys.started.wait()
    call.cancel()
    async with asyncio.timeout(60):
        await toys.cancelled.wait()


async def test_call_too_many_at_once_are_overloaded_with_a_retry_time(channel: grpc.aio.Channel, toys: Toys) -> None:
    waiting = [asyncio.create_task(play(channel, PlayRequest(name="wait"))) for _ in range(3)]
    await toys.started.wait()
    while (answer := await play(channel, PlayRequest(name="ball"))) == "ball":
        await asyncio.sleep(0.005)
    toys.go_on.set()
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert answer.retry_after_s == 0.5
    assert await asyncio.gather(*waiting) == ["wait"] * 3
    assert await play(channel, PlayRequest(name="ball")) == "ball"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (PlayRequest(name="missing").SerializeToString(), "TOY_MISSING"),
        (PlayRequest().SerializeToString(), "INVALID_REQUEST"),
        (b"\xff", "MALFORMED_MESSAGE"),
        (PlayRequest(name="bug").SerializeToString(), "INTERNAL"),
    ],
)
async def test_stream_answers_until_the_first_error(channel: grpc.aio.Channel, last: bytes, reason: str) -> None:
    call = channel.stream_stream(f"/{NAME}/PlayAll")(iter([PlayRequest(name="ball").SerializeToString(), last]))
    answers = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for answer in call:
            answers.append(PlayResponse.FromString(answer).name)
    assert answers == ["ball"]
    assert refusal_of(caught.value).reason == reason


async def test_call_mutated_messages_are_never_unknown_and_nothing_leaks(channel: grpc.aio.Channel) -> None:
    """Thousands of broken messages: an answer, INVALID_ARGUMENT, or what the name in them asks for."""
    print(f"seed {FUZZ_SEED}")
    chance = random.Random(FUZZ_SEED)
    base = PlayRequest(name="ball", weight=7, parts=[PlayRequest(name="lace")], labels={"a": "b"}, blob=b"xyz", ratio=1)
    statuses: Counter[str] = Counter()
    send = channel.unary_unary(f"/{NAME}/Play")
    for _ in range(FUZZ_MESSAGES):
        try:
            await send(mutated(base.SerializeToString(), chance), timeout=60)
            statuses["OK"] += 1
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            statuses[refusal.status.name] += 1
            assert refusal.reason in {"MALFORMED_MESSAGE", "INVALID_REQUEST"}
            assert not any(word in refusal.message for word in ("Error", "Traceback", "rror parsing"))
    assert set(statuses) == {"OK", "INVALID_ARGUMENT"}
    assert min(statuses.values()) > FUZZ_MESSAGES / 20


def mutated(raw: bytes, chance: random.Random) -> bytes:
    message = bytearray(raw)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(message) + 1)
        match chance.randrange(4):
            case 0:
                message[place : place + 1] = chance.randbytes(1)
            case 1:
                del message[place:]
            case 2:
                message[place:place] = chance.randbytes(chance.randint(1, 8))
            case 3 if place < len(message):
                message[place] ^= 1 << chance.randrange(8)
    return bytes(message)


async def test_call_is_counted_by_method_status_and_reason(channel: grpc.aio.Channel) -> None:
    labels = {"method": f"/{NAME}/Play", "status": "NOT_FOUND", "reason": "TOY_MISSING"}
    before = REGISTRY.get_sample_value("quittance_calls_total", labels) or 0
    await play(channel, PlayRequest(name="missing"))
    assert REGISTRY.get_sample_value("quittance_calls_total", labels) == before + 1

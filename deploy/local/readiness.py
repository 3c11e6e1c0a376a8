"""Asks a process whether it is ready for work. Every question is answered within a second, by no if need be."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

Readiness = Callable[[], Awaitable[bool]]
QUESTION_TIMEOUT_S = 1.0


def grpc_says_serving(address: str) -> Readiness:
    """Ready when the gRPC health service at `address` says SERVING."""

    async def is_serving() -> bool:
        # A channel of its own for every question: one that was refused waits longer and longer before it tries again.
        async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            try:
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=QUESTION_TIMEOUT_S)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return is_serving


def http_answers_ok(url: str) -> Readiness:
    """Ready when GET `url` is answered with 200."""

    async def is_ok() -> bool:
        timeout = aiohttp.ClientTimeout(total=QUESTION_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    return is_ok


def in_thread(question: Callable[[], bool]) -> Readiness:
    """Make an awaitable question of one that blocks."""

    async def ask() -> bool:
        return await asyncio.to_thread(question)

    return ask

"""Deadlines on the event loop's clock."""

import asyncio
from typing import Any

import grpc


def deadline_of(context: "grpc.aio.ServicerContext[Any, Any]") -> float | None:
    """When the caller of this RPC stops waiting, on the event loop's clock; None when it waits for ever."""
    remaining_s: float | None = context.time_remaining()
    return None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s

"""gRPC channels between our own processes."""

import grpc

# A peer that restarts is found again at once; gRPC's own pauses grow to two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel that connects when first used, so that processes may start in any order."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)

"""gRPC channels between our own processes."""

import grpc

# A peer that restarts is found again at once; gRPC's own pauses grow to two minutes. A connection whose other end has
# vanished without a word is given up after some seconds, not when TCP does.
_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel that connects when first used, so that processes may start in any order."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)

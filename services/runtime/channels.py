"""gRPC channels between our own processes."""

import grpc

# A peer that restarts is found again at once; gRPC's own pauses grow to two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: str, *, is_shared: bool = True) -> grpc.aio.Channel:
    """A channel that connects when first used, so that processes may start in any order.

    is_shared: whether it uses a connection together with the process's other channels to the same address.
    """
    local = () if is_shared else (("grpc.use_local_subchannel_pool", 1),)
    return grpc.aio.insecure_channel(address, options=(*_OPTIONS, *local))

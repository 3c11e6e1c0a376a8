"""gRPC channels between our own processes."""

import grpc

# A peer that restarts is found again at once; gRPC's own pauses grow to two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
# A machine that vanishes says no goodbye. Without pings its connection is believed in until the kernel gives it up, a
# quarter of an hour later, and every call runs into its deadline until then.
_PING_EVERY_S = 20.0

# What our servers allow. By default they hang up on whoever pings more often than every five minutes.
SERVER_OPTIONS = (("grpc.http2.min_recv_ping_interval_without_data_ms", int(_PING_EVERY_S * 1000 / 2)),)


def open_channel(address: str, *, is_shared: bool = True, ping_every_s: float = _PING_EVERY_S) -> grpc.aio.Channel:
    """A channel that connects when first used, so that processes may start in any order.

    is_shared: whether it uses a connection together with the process's other channels to the same address.
    ping_every_s: how long a call waits without a byte from its peer before it asks whether the peer is there; a quarter
    of it later without an answer the call fails with UNAVAILABLE, and later ones get a new connection.
    """
    local = () if is_shared else (("grpc.use_local_subchannel_pool", 1),)
    return grpc.aio.insecure_channel(address, options=(*_OPTIONS, *_pings(ping_every_s), *local))


def _pings(every_s: float) -> tuple[tuple[str, int], ...]:
    answer_ms = int(every_s * 1000 / 4)
    return (
        ("grpc.keepalive_time_ms", int(every_s * 1000)),
        # The first is for bytes that the kernel gets no receipt for, the second, a minute by default, for pings.
        ("grpc.keepalive_timeout_ms", answer_ms),
        ("grpc.http2.ping_timeout_ms", answer_ms),
        # As many as it takes; by default two without data in between, and no more.
        ("grpc.http2.max_pings_without_data", 0),
    )

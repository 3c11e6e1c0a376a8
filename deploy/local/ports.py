"""TCP ports on the loopback interface."""

import random
import socket

# Below the ranges that Linux (from 32768) and macOS (from 49152) take clients' ports from: a port from those could be
# gone between being found and being used.
CANDIDATES = range(20000, 32000)
TRIES_MAX = 200


def free_port() -> int:
    """A port that nobody listens on just now. Raises OSError: none was found."""
    for port in random.sample(CANDIDATES, TRIES_MAX):
        if is_port_free(port):
            return port
    raise OSError(f"no free port among {TRIES_MAX} of {CANDIDATES}")


def is_port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

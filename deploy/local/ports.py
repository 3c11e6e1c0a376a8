"""TCP ports on the loopback interface."""

import os
import socket
from collections import deque

# Below the ranges that Linux (from 32768) and macOS (from 49152) take clients' ports from: a port from those could be
# gone between being found and being used.
CANDIDATES = range(20000, 32000)
# Processes that look for ports at the same time look at different ones, and none is looked at again soon: it may have
# been found and not be used yet.
STRIDE = 64
_candidates = deque(CANDIDATES[os.getpid() % STRIDE :: STRIDE])


def free_port() -> int:
    """A port that nobody listens on just now. Raises OSError: none was found."""
    for _ in range(len(_candidates)):
        _candidates.rotate(-1)
        if is_port_free(_candidates[-1]):
            return _candidates[-1]
    raise OSError(f"no free port among {len(_candidates)} of {CANDIDATES}")


def is_port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

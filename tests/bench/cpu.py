"""Processor time of a stack's processes: true on a busy machine too, where latencies and rates are not."""

import psutil

from deploy.local.stack import Stack

_PROCESSES = ("postgres", "temporal", "ledger", "vouchers", "checkout", "orchestrator", "sandbox")


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Seconds that each process and its children have used so far."""
    return {name: _of_tree(pid) for name in _PROCESSES if (pid := stack.pid(name)) is not None}


def _of_tree(pid: int) -> float:
    used_s = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used_s += times.user + times.system
    return used_s

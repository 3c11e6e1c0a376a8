"""The embedded stack: PostgreSQL, Temporal and every process of Quittance on one machine."""

import os

# Read when grpc is imported. For root, a child that becomes PostgreSQL is forked, because its user changes; gRPC's
# handlers for that start threads in it, which now and then abort it before it has become anything.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

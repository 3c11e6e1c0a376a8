"""The steps of code generation: one line each, named after the service and the RPC that they call."""

from orchestrator.steps import Step
from quittance.vouchers.v1 import codes_pb2 as codes

CREATE_BATCH = Step(
    "codes.CreateCodeBatch",
    codes.CreateCodeBatchRequest,
    codes.CreateCodeBatchResponse,
    "Have the voucher service generate the codes",
)
READ_BATCH = Step(
    "codes.GetCodeBatch",
    codes.GetCodeBatchRequest,
    codes.GetCodeBatchResponse,
    "Look how far it is",
)
CANCEL_BATCH = Step(
    "codes.CancelCodeBatch",
    codes.CancelCodeBatchRequest,
    codes.CancelCodeBatchResponse,
    "UNDO: stop it, and switch off for ever what was made",
)

CODE_STEPS = tuple(value for value in globals().values() if isinstance(value, Step))

"""Which refusals are a definite no: the step has not happened and asking again with the same id is pointless."""

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import EnumDescriptor

_OPTION = "quittance.errors.v1.reason"
_PREFIX = "ERROR_REASON_"

# What a code means where no known reason says more.
_DEFINITE_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)


class ReasonTable:
    """The reasons of all services, as their protos mark them."""

    def __init__(self, definite: Mapping[tuple[str, str], bool]) -> None:
        self._definite = definite

    @classmethod
    def from_enums(cls, enums: Mapping[str, EnumDescriptor]) -> "ReasonTable":
        """The table of ErrorReason enums by ErrorInfo domain."""
        definite: dict[tuple[str, str], bool] = {}
        for domain, enum in enums.items():
            option: Any = enum.file.pool.FindExtensionByName(_OPTION)
            for value in enum.values:
                reason = value.name.removeprefix(_PREFIX)
                definite[domain, reason] = value.GetOptions().Extensions[option].definite
        return cls(definite)

    def is_definite(self, status: grpc.StatusCode, reason: str | None, domain: str | None) -> bool:
        """Whether this answer is a definite no; the reason decides where it is known, else the code."""
        known = self._definite.get((domain or "", reason or ""))
        return status in _DEFINITE_CODES if known is None else known

"""Codes that somebody brings along: what becomes of each."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from services.runtime.errors import InvalidRequest, ServiceError
from services.vouchers.domain.codes import normalise_code
from services.vouchers.domain.vouchers import mask_code
from services.vouchers.errors.codes import CodeTaken

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9. -]{1,62}[A-Za-z0-9]", re.ASCII)
_NORMAL_LENGTH_MIN = 3


class KnownCode(NamedTuple):
    """Who has a code; `batch_id` None: it was made by itself."""

    voucher_id: UUID
    batch_id: UUID | None


class ImportedCode(NamedTuple):
    """A code that is in, by this call or before; `existed`: by an earlier call, or further up in this one."""

    voucher_id: UUID
    existed: bool


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code to be added."""

    voucher_id: UUID
    code: str = field(repr=False)
    code_normal: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Import:
    """One outcome per code, in the order given, and the rows to write."""

    outcomes: Sequence[ImportedCode | ServiceError]
    new_codes: Sequence[NewCode]


def import_codes(
    batch_id: UUID, codes: Iterable[str], known: Mapping[str, KnownCode], fresh_ids: Iterator[UUID]
) -> Import:
    """Adds what nobody has yet; what the batch has already is there, so that a call can come again.

    known: by normal form, those of the codes that somebody has. fresh_ids: for the new ones.
    """
    outcomes: list[ImportedCode | ServiceError] = []
    new_codes: dict[str, NewCode] = {}
    for code in codes:
        code_normal = normalise_code(code)
        owner = known.get(code_normal)
        if not _CODE.fullmatch(code) or len(code_normal) < _NORMAL_LENGTH_MIN:
            outcomes.append(InvalidRequest(field="codes", rule="code"))
        elif owner is not None and owner.batch_id != batch_id:
            outcomes.append(CodeTaken(voucher=mask_code(code)))
        elif owner is not None:
            outcomes.append(ImportedCode(owner.voucher_id, existed=True))
        elif code_normal in new_codes:
            outcomes.append(ImportedCode(new_codes[code_normal].voucher_id, existed=True))
        else:
            new_codes[code_normal] = NewCode(next(fresh_ids), code, code_normal)
            outcomes.append(ImportedCode(new_codes[code_normal].voucher_id, existed=False))
    return Import(outcomes, list(new_codes.values()))

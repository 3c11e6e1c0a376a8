"""Whether a command that names a known id speaks of the same thing."""

from services.ledger.domain.commands import (
    CaptureHold,
    ExpireGrant,
    ExpireHold,
    GrantCredits,
    HoldCredits,
    RefundCredits,
    ReleaseHold,
    RevokeGrant,
)
from services.ledger.domain.kinds import CommandKind
from services.ledger.domain.records import CommandRecord


def different_place(
    command: (
        GrantCredits | RevokeGrant | HoldCredits | CaptureHold | ReleaseHold | RefundCredits | ExpireHold | ExpireGrant
    ),
    known: CommandRecord,
    kind: CommandKind,
) -> str | None:
    """The first of kind, owner and currency that is not the known one's."""
    if known.kind is not kind:
        return "kind"
    if known.owner_id != command.owner_id:
        return "owner_id"
    return "currency" if known.currency != command.currency else None


def first_different(fields: dict[str, tuple[object, object]], otherwise: str) -> str:
    """The first field whose stored and asked value differ; `otherwise` when it is none of these."""
    return next((name for name, (stored, asked) in fields.items() if stored != asked), otherwise)

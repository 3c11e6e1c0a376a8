"""Our ids in what a provider gives back."""

from uuid import UUID


def uuid_of(text: str | None) -> UUID | None:
    """An id of ours, or None when the text is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None

"""Our name and ids in what is made at a provider: by them our money is told from other money there."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


def uuid_of(text: str | None) -> UUID | None:
    """An id of ours, or None when the text is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Marks:
    """What an object carries as its metadata. Those with another deployment's name, or with none, are not ours."""

    deployment: str

    def on(self, order_id: UUID, **ids: str) -> dict[str, str]:
        """The metadata of an object that is made for an order."""
        return {"deployment": self.deployment, "order_id": str(order_id), **ids}

    def are_on(self, metadata: Mapping[str, str]) -> bool:
        """Whether an object is ours."""
        return metadata.get("deployment") == self.deployment

    def order_of(self, metadata: Mapping[str, str]) -> UUID | None:
        """The order that an object was made for; None when it is not ours."""
        return uuid_of(metadata.get("order_id")) if self.are_on(metadata) else None

    def refund_of(self, metadata: Mapping[str, str]) -> UUID | None:
        """Our id of a refund; None when it is not ours."""
        return uuid_of(metadata.get("refund_id")) if self.are_on(metadata) else None

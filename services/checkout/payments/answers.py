"""Answers of a provider's API, read or not believed."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from services.checkout.errors import ProviderUnavailable

Model = TypeVar("Model", bound=BaseModel)


def read_answer(provider: str, model: type[Model], body: bytes | str) -> Model:
    """The answer in its form. Raises PAYMENT_PROVIDER_UNAVAILABLE: it has another one, so nothing is known."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise ProviderUnavailable(provider) from None

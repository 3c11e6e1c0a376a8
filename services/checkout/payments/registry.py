"""The payment providers of this deployment, by name."""

import contextlib
from collections.abc import AsyncIterator, Iterable

from services.checkout.errors import ProviderNotConfigured
from services.checkout.payments.provider import PaymentProvider
from services.checkout.payments.sandbox import SandboxProvider, SandboxSettings


class PaymentProviders:
    """What the settings made of each provider that there is."""

    def __init__(self, providers: Iterable[PaymentProvider]) -> None:
        self._by_name = {provider.name: provider for provider in providers}

    @property
    def names(self) -> list[str]:
        """Of all providers, configured or not: each has its path for webhooks."""
        return sorted(self._by_name)

    def named(self, name: str) -> PaymentProvider:
        """The provider of this name. Raises PAYMENT_PROVIDER_NOT_CONFIGURED: there is none."""
        provider = self._by_name.get(name)
        if provider is None:
            raise ProviderNotConfigured(name)
        return provider


@contextlib.asynccontextmanager
async def open_providers() -> AsyncIterator[PaymentProviders]:
    """All providers with their settings from the environment; their connections live as long as the context."""
    async with contextlib.AsyncExitStack() as exits:
        sandbox = SandboxProvider(SandboxSettings())
        exits.push_async_callback(sandbox.close)
        yield PaymentProviders([sandbox])

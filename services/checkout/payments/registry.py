"""The payment providers of this deployment, by name."""

import contextlib
from collections.abc import AsyncIterator, Iterable

from services.checkout.errors import ProviderNotConfigured
from services.checkout.payments.provider import PaymentProvider
from services.checkout.payments.sandbox import SandboxProvider, SandboxSettings
from services.checkout.payments.stripe import StripeProvider, StripeSettings
from services.checkout.payments.yookassa import YooKassaProvider, YooKassaSettings


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
async def open_providers(deployment: str) -> AsyncIterator[PaymentProviders]:
    """All providers with their settings from the environment; their connections live as long as the context.

    deployment: our name in what is made at the providers, by which our money is told from other money there.
    """
    providers: list[PaymentProvider] = []
    async with contextlib.AsyncExitStack() as exits:
        for provider in (
            SandboxProvider(SandboxSettings()),
            StripeProvider(StripeSettings(), deployment),
            YooKassaProvider(YooKassaSettings(), deployment),
        ):
            exits.push_async_callback(provider.close)
            providers.append(provider)
        yield PaymentProviders(providers)

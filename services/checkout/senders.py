"""Who has sent an HTTP request, when it comes through proxies; and under which other paths webhooks are received."""

from collections.abc import Mapping, Sequence

from services.checkout.payments.networks import Network, is_within


class Senders:
    """The deployment's proxies and aliases.

    trusted_proxies: networks of the proxies that we run ourselves; only what they add to X-Forwarded-For is believed.
    aliases: further paths for webhooks, with the provider of each (P7).
    """

    def __init__(self, trusted_proxies: Sequence[Network], aliases: Mapping[str, str]) -> None:
        self._trusted = trusted_proxies
        self.aliases = aliases

    def address_of(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The address of the sender: from the right, the first one in the chain that is none of our proxies.

        Everything to the left of it was written by the sender and may say anything.
        """
        chain = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        address = peer
        while is_within(address, self._trusted) and chain:
            address = chain.pop()
        return address


def parse_aliases(text: str) -> dict[str, str]:
    """`/path=provider` pairs separated by commas. Raises ValueError."""
    aliases = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        path, separator, provider = pair.partition("=")
        if not separator or not path.startswith("/") or not provider or path in aliases or "{" in path:
            raise ValueError(f"{pair!r} is no /path=provider, or its path stands there twice")
        aliases[path] = provider
    return aliases

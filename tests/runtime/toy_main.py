"""The toy service as a process: how a service's main looks. The test reads its address from its log."""

from services.runtime import server
from services.runtime.settings import Settings
from tests.runtime.toy_service import DOMAIN, Toys, service


async def main(settings: Settings) -> None:
    async with server.Server(settings, domain=DOMAIN, services=[service(Toys())]) as running:
        await running.run_until_signal()


if __name__ == "__main__":
    SETTINGS = Settings()  # type: ignore[call-arg]
    server.run(lambda: main(SETTINGS), SETTINGS)

"""`python -m deploy.local.sandbox_provider`: runs until SIGTERM or SIGINT."""

import asyncio
import signal

from deploy.local.sandbox_provider.server import serving
from deploy.local.sandbox_provider.settings import SandboxSettings
from services.runtime.logs import configure_logs


async def main() -> None:
    """Serves with the settings of the environment."""
    settings = SandboxSettings()
    configure_logs(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(settings):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())

"""`python -m deploy.local.temporal_download FOLDER`: let the SDK download Temporal's program into FOLDER.

The SDK offers the download only together with a start of the server, which is stopped again. A process of its own,
because the SDK gives no way to end a download that does not move.
"""

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def download(folder: str) -> None:
    """Download, start and stop the server. Raises RuntimeError: no network, or no program for this platform."""
    environment = await WorkflowEnvironment.start_local(download_dest_dir=folder)
    await environment.shutdown()


if __name__ == "__main__":
    asyncio.run(download(sys.argv[1]))

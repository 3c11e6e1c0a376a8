"""What all tests share: one PostgreSQL, one whole stack, and a seed that is printed and can be given again."""

import os
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from deploy.local.postgres import EmbeddedPostgres
from tests.faulty_stack import FaultyStack
from tests.shop import Shop

# Property tests try the same examples every time: a failure on one machine is a failure on all.
hypothesis_settings.register_profile("quittance", derandomize=True, deadline=None)
hypothesis_settings.load_profile("quittance")

# In the environment, so that all processes of a run have the same one.
SEED = int(os.environ.setdefault("QUITTANCE_SEED", str(random.SystemRandom().randrange(1_000_000))))


def pytest_report_header() -> str:
    """Shows how to repeat this run."""
    return f"seed: QUITTANCE_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that in the end no process waits for another's."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Chance, the same for a test whenever the seed is."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for tests of single services."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FaultyStack]:
    """Everything, with fault proxies between the worker and the services."""
    async with FaultyStack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def shop(stack: FaultyStack) -> Shop:
    """What a calling service would do, in one line each."""
    return stack.shop

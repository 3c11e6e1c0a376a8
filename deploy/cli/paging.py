"""Lists that come page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar


class _AsksForPage(Protocol):
    page_token: str


class _HasNextPage(Protocol):
    next_page_token: str


Request = TypeVar("Request", bound=_AsksForPage)
Page = TypeVar("Page", bound=_HasNextPage)


async def pages_of(call: Callable[[Request], Awaitable[Page]], request: Request) -> AsyncIterator[Page]:
    """The pages of a list, one after the other; `request` asks for the first one."""
    while True:
        page = await call(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token

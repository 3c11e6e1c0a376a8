"""Structured logs without content: names, numbers and ids of our own, never a request's or a row's values."""

import logging
import sys
import traceback
from collections.abc import Iterator

import asyncpg
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.runtime.settings import Settings

# Their texts are written by the interpreter about our code; all others may quote data.
_SPEAKS_OF_CODE = (AttributeError, ImportError, NameError, NotImplementedError, TypeError)


def configure_logs(settings: Settings) -> None:
    """Sends our logs and those of libraries to standard output in the form that the settings ask for."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), sort_keys=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces an exception by its types and places: its text may quote what a request or a row holds."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error and not isinstance(error, BaseException):
        error = sys.exception()
    if isinstance(error, BaseException):
        event["causes"] = [_describe(cause) for cause in _chain(error)]
        event["trace"] = _places(error)
    return event


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        # Class 22 quotes the value that it refuses; in the others only DETAIL does.
        sqlstate = error.sqlstate or ""
        text = "" if sqlstate.startswith("22") else getattr(error, "message", "")
        return f"{name} {sqlstate} {text}".rstrip()
    if isinstance(error, OSError):
        return f"{name} errno={error.errno}"
    return f"{name}: {error}" if isinstance(error, _SPEAKS_OF_CODE) else name


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]

"""Logs as events with fields: JSON lines for machines, readable lines on a terminal; other libraries' logs join them.

`serve` calls `configure`; an embedding application keeps its own logging.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import msgspec
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from airis_mon.security.redact import mask_data

QUIET = ("alembic", "asyncio", "httpcore2", "httpx2", "sqlalchemy")
"""Libraries that tell every step at info: heard from warning on, or all of it at debug."""


def configure(level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:  # noqa: A002  as in the settings
    """Sends every log of this process to `stream` (standard output), secrets masked.

    level: debug, info, warning or error. format: json, text, or auto (text on a terminal). Each line has `t`,
    `level`, `logger` and `event`; a line of another library has `event` = `<library>.logged` and its `message`.
    """
    out = stream or sys.stdout
    is_text = format == "text" or (format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp" if is_text else "t"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # as text: locals of a traceback may hold secrets
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers of modules follow a second call
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_foreign],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redact, _renderer(out, is_text)],
        )
    )
    _route(handler, level.upper())


def _route(handler: logging.Handler, level: str) -> None:
    """Makes `handler` the only one; libraries that brought their own pass their records up to it."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    logging.captureWarnings(capture=True)


def _name_foreign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A sentence of another library becomes a field: events are names that can be counted."""
    event["message"] = event["event"]
    event["event"] = f"{str(event.get('logger', 'root')).partition('.')[0]}.logged"
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    masked: EventDict = mask_data(event)
    return masked


def _renderer(out: TextIO, is_text: bool) -> Processor:
    if is_text:
        return structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
        )
    return _line


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {k: event.pop(k) for k in ("t", "level", "event") if k in event}
    return msgspec.json.encode({**first, **event}, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    """What JSON does not know: the number inside a numpy scalar, else its text."""
    return value.item() if hasattr(value, "item") else str(value)

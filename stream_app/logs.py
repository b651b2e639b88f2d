"""Structured logs on stderr: one line an event, its name a constant, the facts as fields.

Faust, aiokafka and aiohttp log through the standard library; their lines take the same form.
While the broker is away aiokafka repeats itself thousands of times a second, so a line of a
library passes once per text and minute; the worker itself reports the change of state.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from stream_app.settings import LogSettings

#: Libraries whose lines are held back when they repeat.
CHATTY = ("aiokafka", "faust", "mode", "httpx", "httpcore", "aiohttp")
REPEAT_SECONDS = 60.0


class RepeatFilter(logging.Filter):
    """Lets a message (by its unformatted text) through once per `REPEAT_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is new enough to print."""
        key = (record.name, str(record.msg)[:80])
        now = time.monotonic()
        if now - self._passed.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        if len(self._passed) > 1000:  # noqa: PLR2004 - bounds memory, the number is arbitrary
            self._passed.clear()
        self._passed[key] = now
        return True


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send all log lines of the process to `stream` (stderr) in the form of the settings."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=(stream or sys.stderr).isatty(),
            # The default prints local variables when rich is there, and one may be a key.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ]
            if settings.format == "json"
            else [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    chatty = RepeatFilter()
    handler.addFilter(lambda record: not record.name.startswith(CHATTY) or chatty.filter(record))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger

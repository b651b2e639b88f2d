"""Structured logs on stderr: one line per event, with a constant name and the facts as fields.

Faust, aiokafka and aiohttp log through the standard library; their lines take the same form.
While the broker is away aiokafka repeats its messages thousands of times a second, and so does
asyncio while no file handle is left. So a library's line passes once per text and minute; the
worker itself reports the change of state.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from stream_app.domain.foreign_text.printable import printable, printable_lines, quoted

if TYPE_CHECKING:
    from stream_app.setting_groups import LogSettings

#: Libraries whose lines are held back when they repeat.
CHATTY = ("aiokafka", "faust", "mode", "httpx", "httpcore", "aiohttp", "asyncio")
REPEAT_SECONDS = 60.0
#: Fields that the renderer puts on lines of their own, and those that it prints without quotes.
_BLOCKS = frozenset({"exception", "stack"})
_OWN_COLUMNS = frozenset({"timestamp", "level", "event", "logger", "logger_name"})
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NEEDS_QUOTES = re.compile("[\\s='\"]|^$")


class LineLimit:
    """Lets a line through once per `REPEAT_SECONDS`, by its source and its text or key."""

    def __init__(self) -> None:
        self._passed: dict[tuple[str, str], float] = {}

    def passes(self, source: str, text: str) -> bool:
        """Return whether the line is new enough to print."""
        now = time.monotonic()
        if now - self._passed.get((source, text), -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        if len(self._passed) > 1000:  # noqa: PLR2004 - bounds memory, the number is arbitrary
            self._passed.clear()
        self._passed[source, text] = now
        return True


class RepeatedWarnings:
    """Logs a warning at most once per `REPEAT_SECONDS`; the metrics count the others.

    Args:
        log: where to.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._limit = LineLimit()

    def warn(self, event: str, key: str = "", **facts: Any) -> None:
        """Log a warning, unless one of the same event and `key` was logged a moment ago."""
        if self._limit.passes(event, key):
            self._log.warning(event, **facts)


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send all log lines of the process to `stream` (stderr) in the configured format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_as_json)
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty())
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Not the renderer's own, which prints local variables: one may be an API key.
                structlog.processors.format_exc_info,
                *([] if settings.format == "json" else [_harmless]),
                renderer,
            ],
        )
    )
    limit = LineLimit()
    handler.addFilter(
        lambda record: (
            not record.name.startswith(CHATTY) or limit.passes(record.name, str(record.msg)[:80])
        )
    )
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


def _as_json(event: object, **options: Any) -> str:
    """Return an event as valid JSON: half of a surrogate pair is replaced."""
    text = json.dumps(event, **options)
    if "\\ud" not in text:
        return text
    whole = json.dumps(json.loads(text), ensure_ascii=False)
    return json.dumps(json.loads(_HALF_PAIR.sub("\ufffd", whole)))


class _Shown:
    """A text that the renderer prints as it is, because it prints other objects by `repr`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _harmless(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Make visible what would act on a terminal, and keep each event on one line.

    Only tracebacks and stacks have several lines. They are indented, because they may hold foreign
    text, which must not be taken for a line of the log.
    """
    return {printable(str(name)): _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: object) -> object:
    if name in _BLOCKS and isinstance(value, str):
        return printable_lines(textwrap.indent(value, "  "))
    if name in _OWN_COLUMNS:
        return printable(str(value))
    if isinstance(value, str):
        return _Shown(quoted(value) if _NEEDS_QUOTES.search(value) else printable(value))
    return _Shown(printable(repr(value)))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger

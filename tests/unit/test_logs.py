"""Log lines with the text of strangers: nothing acts on a console, and JSON is JSON."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.foreign_text.printable import printable
from stream_app.logs import CHATTY, configure_logs, get_logger
from stream_app.setting_groups import LogSettings

HOSTILE = (
    "\x1b]0;pwned\x07\x1b[2J\x9b31m a\u202eb\u2028c\r2026-01-01 [info] all is well\n2026 \ud800"
)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _fail(text: str) -> None:
    raise ValueError(text)


def logged(text: str, form: str) -> str:
    """Log a text in every place of a line where it can stand, of ours and of libraries."""
    out = io.StringIO()
    configure_logs(LogSettings.model_validate({"format": form}), out)
    log, library = get_logger(f"ours{text}"), logging.getLogger("faust.x")
    log.warning(
        "constant_name", name=text, many=[text, {text: text}], raw=text.encode("utf-8", "replace")
    )
    log.warning(text, **{f"key{text}": 1})
    library.error("of a library %s", text, extra={"more": text})
    try:
        _fail(text)
    except ValueError:
        log.exception("failed", name=text)
        logging.getLogger("aiohttp.server").exception("bad %s", text)
    log.warning("where", stack_info=True)
    return out.getvalue()


@given(st.just(HOSTILE) | st.text())
def test_a_console_shows_every_line_as_text(text: str) -> None:
    lines = logged(text, "console").split("\n")
    assert [line for line in lines if printable(line) != line] == []
    # Of ours: six lines. All else is a traceback or a stack, which is indented.
    heads = [line for line in lines if line and not line.startswith("  ")]
    assert len(heads) == 6, heads
    assert all(line.startswith("20") and "Z [" in line for line in heads)


@given(st.just(HOSTILE) | st.text(st.characters()))
def test_a_json_line_is_one_line_of_ascii_that_every_parser_reads(text: str) -> None:
    lines = logged(text, "json").split("\n")
    assert lines.pop() == ""
    rows = [orjson.loads(line) for line in lines]
    assert len(rows) == 6
    assert all(line.isascii() and line.isprintable() for line in lines)
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert rows[0]["name"] == text


def test_a_repeated_line_of_a_library_is_logged_once_a_minute() -> None:
    out = io.StringIO()
    configure_logs(LogSettings(format="json"), out)
    for text in ("socket.accept() out of system resource\nsocket: <fd=6>", "another"):
        for _ in range(1000):
            logging.getLogger("asyncio").error(text)
            get_logger("ours").error(text)
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert len([line for line in lines if line["logger"] == "asyncio"]) == 2
    assert len([line for line in lines if line["logger"] == "ours"]) == 2000


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_no_library_logs_the_addresses_of_requests(level: str) -> None:
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    try:
        configure_logs(LogSettings.model_validate({"level": level}))
        # httpx logs each address at info, and the path of a heartbeat's may be a secret.
        assert logging.getLogger("httpx").level >= logging.WARNING
    finally:
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)

"""How commands print: data on stdout as a table or JSON, everything else on stderr.

Nothing else in the project writes to a terminal; the linter enforces it. All output is treated as
untrusted text: markup, emoji codes and links are not interpreted, and control characters are shown
as escapes. A command highlights text by passing `Styled`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import click
import orjson
from rich.console import Console

from stream_app.cli.tables import block_lines, table_lines, wrapped
from stream_app.domain.errors import OutputError
from stream_app.domain.foreign_text.printable import (
    printable,
    printable_json,
    printable_lines,
    value_text,
)

#: Longest cell in characters: a name of a hundred thousand would hide all other rows.
_MAX_CELL = 1000
_CLEAR = "\r\x1b[2K"


class Styled(NamedTuple):
    """A text that is highlighted on a terminal and plain elsewhere."""

    text: str
    color: str | None = None
    bold: bool = False
    dim: bool = False


class MarkedLine(str):
    """A line of our own characters, some of them in red."""

    __slots__ = ("marked",)
    marked: Sequence[int]

    def __new__(cls, text: str, marked: Sequence[int]) -> Self:
        """Return the line; `marked` are the positions in red."""
        line = super().__new__(cls, text)
        line.marked = marked
        return line


def print_json(value: Any) -> None:
    """Print one JSON document on a line of stdout."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:
        # An argument or an answer may hold half of a surrogate pair, which UTF-8 cannot encode,
        # or a number beyond 64 bits.
        text = json.dumps(value, default=str)
    print_json_text(text)


def print_json_text(document: str | bytes) -> None:
    """Print a JSON document as it is; on a terminal with control characters escaped."""
    text = document if isinstance(document, str) else document.decode(errors="backslashreplace")
    _echo(printable_json(text) if is_terminal() else text)


def print_data(data: bytes) -> None:
    """Write bytes to stdout as they are; on a terminal with control characters escaped."""
    if is_terminal():
        print_lines(data.decode(errors="backslashreplace"))
    else:
        _write(data)


def print_kcat_line(key: str, value: Any) -> None:
    """Print a record as `kcat -K` reads it with a tab: its key, the tab, its value as JSON."""
    document = orjson.dumps(value).decode()
    shown = (printable(key), printable_json(document)) if is_terminal() else (key, document)
    _echo("\t".join(shown))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns; only a very long text is cut."""
    headings = [printable(column) for column in columns]
    cells = [[_cell(cell) for cell in row] for row in rows]
    for heading, text in table_lines(headings, cells, terminal_width()):
        print_line(Styled(heading, bold=True), text)


def print_block(columns: Sequence[str], row: Sequence[object], width: int) -> None:
    """Print one row as a block of lines, and an empty line."""
    for heading, text in block_lines(columns, [_cell(cell) for cell in row], width):
        print_line(Styled(heading, bold=True), text)
    print_line()


def print_line(*parts: str | Styled) -> None:
    """Print a line on stdout; line breaks in it are shown as escapes."""
    _echo("".join(map(_painted, parts)).rstrip(" "))


def print_text(text: str) -> None:
    """Print a text on stdout; a terminal gets it wrapped between words, indented after a line."""
    width = terminal_width()
    if width is None:
        print_line(text)
        return
    first, *others = wrapped(printable(text), max(width - 2, 1))
    print_line(first)
    for line in others:
        print_line("  ", line)


def print_lines(text: str) -> None:
    """Print a text of several lines on stdout."""
    _echo(printable_lines(text))


def print_rule() -> None:
    """Print a line across the terminal."""
    _echo("─" * Console().width)


def say(text: str) -> None:
    """Print a line for a person on stderr; line breaks in it are shown as escapes."""
    _echo(printable(text), err=True)


def say_lines(text: str) -> None:
    """Print a text of several lines for a person on stderr."""
    _echo(printable_lines(text), err=True)


def complain(error: Exception) -> None:
    """Print an error on stderr; only its first line has the prefix of our errors."""
    lines = printable_lines(str(error)).split("\n")
    rest = (line if line.startswith(" ") else f"  {line}" for line in lines[1:])
    _echo("\n".join([f"stream-app: {lines[0]}", *rest]), err=True)


def show_usage_error(error: click.ClickException) -> None:
    """Print an error of click as click does, with the arguments that it repeats escaped."""
    text = io.StringIO()
    error.show(file=text)
    # click indents the choices of an argument with tabs.
    shown = text.getvalue().removesuffix("\n").replace("\n\t", "\n  ")
    _echo(printable_lines(shown), err=True)


def show_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an uncaught error (`sys.excepthook`); text from outside is escaped here, too."""
    lines = "".join(traceback.format_exception(kind, error, trace)).removesuffix("\n")
    _echo(printable_lines(lines), err=True)


class _Progress:
    """The line of the terminal's stderr that is painted over until something else is printed."""

    def __init__(self) -> None:
        self._is_shown = False

    def paint(self, text: str) -> None:
        """Replace the line. A line that the terminal wraps could not be cleared: it is cut."""
        sys.stderr.write(_CLEAR + printable(text)[: Console(stderr=True).width - 1])
        sys.stderr.flush()
        self._is_shown = bool(text)

    def clear(self) -> None:
        """Remove the line, if there is one."""
        if self._is_shown:
            self.paint("")


_PROGRESS = _Progress()


def paint_over(text: str) -> None:
    """Replace the current line of the terminal's stderr, without ending it."""
    _PROGRESS.paint(text)


def is_watched() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()


def terminal_width() -> int | None:
    """Return the width of the terminal that stdout is; None: it is a file or a pipe."""
    return Console().width if is_terminal() else None


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def open_output() -> None:
    """Let stdout and stderr take any text, whatever their encoding; discard what is closed."""
    # With `>&-` there is none.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - the process closes it
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Such as a curly quote where only ASCII is known.
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_errors() -> None:
    """Discard stderr: this process answers a shell, whose lines it must not break."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def drop_output() -> None:
    """Discard further stdout: its reader has closed it, and Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _echo(text: str, *, err: bool = False) -> None:
    if not err:
        _write(f"{text}\n")
        return
    _PROGRESS.clear()
    # A note that cannot be written, on a full disk say, changes nothing of what the command does.
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _write(data: str | bytes) -> None:
    """Write to stdout.

    Raises:
        BrokenPipeError: its reader has closed it.
        OutputError: it cannot be written for another reason.
    """
    _PROGRESS.clear()
    try:
        click.echo(data, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> OutputError:
    """Discard what stdout has not taken, and return what to say of it."""
    drop_output()
    return OutputError(
        f"stdout cannot be written: {error.strerror}: free space there, or send it elsewhere; "
        "what is done stays done"
    )


def _cell(value: object) -> str:
    text = value_text(value)
    if len(text) <= _MAX_CELL:
        return text
    return f"{text[:_MAX_CELL]}… ({len(text):,} characters)"


def _painted(part: str | Styled) -> str:
    if not (part.text if isinstance(part, Styled) else part):
        return ""
    if isinstance(part, Styled):
        text = printable(part.text)
        return click.style(text, fg=part.color, bold=part.bold or None, dim=part.dim or None)
    if isinstance(part, MarkedLine):
        text = printable(part)
        marked = set(part.marked)
        return "".join(click.style(c, fg="red") if n in marked else c for n, c in enumerate(text))
    return printable(part)


def text_of(value: bytes | None) -> str | None:
    """Return bytes as text; None stays None."""
    return None if value is None else value.decode(errors="replace")

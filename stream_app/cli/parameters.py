"""What commands share: their start, and options for times, old names, numbers and `--yes`."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from stream_app.cli.output import print_line, say
from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.times import iso_utc, parse_time
from stream_app.logs import configure_logs
from stream_app.settings import Settings, load_settings

if TYPE_CHECKING:
    from click import Context, Parameter

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
yes_option = click.option(
    "--yes",
    is_flag=True,
    help="Do it; without it the command only shows what it would do, and ends with 2.",
)
#: What help says of a time.
TIME_FORMS = (
    "ISO-8601 (UTC without a zone), a time of day as 10:05 (its last one, UTC), or how long ago, "
    "as 30m, 2h, 7d"
)
_FORMER_AGO = re.compile(r"-\d{1,9}[smhd]")


def start_command() -> Settings:
    """Return the settings, and have logs written as they say.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = load_settings()
    configure_logs(settings.log)
    return settings


class PositiveNumber(click.FloatRange):
    """A finite number above zero: click's own range lets `nan` and `inf` through."""

    name = "positive number"

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> float:
        """Return the number, or end with a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{quoted(value)} is not a finite number above 0", param, ctx)
        return number


class FormerOption(click.Option):
    """The old name of an option: works for one more version, hidden, with a word on stderr.

    Args:
        names: its old name.
        now: the name that it has now.
        dest: the parameter that takes its value.
        multiple: whether it may be given several times.
    """

    def __init__(self, names: Sequence[str], now: str, dest: str, *, multiple: bool) -> None:
        super().__init__(
            names, hidden=True, expose_value=False, is_eager=True, multiple=multiple,
            help=f"Old name of {now}.",
        )  # fmt: skip
        self._word = f"{names[0]} is called {now} now; the old name ends with the next version"
        self._dest = dest

    def handle_parse_result(
        self, ctx: Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Hand the value over to the option that has the new name: it is read after this one."""
        value = opts.get(self.name or "")
        if value is not None and isinstance(opts, dict):
            if self._dest in opts and not self.multiple:
                raise click.UsageError(f"{self._word}: give one of the two", ctx)
            if not ctx.resilient_parsing:
                say(self._word)
            opts[self._dest] = [*opts.get(self._dest, []), *value] if self.multiple else value
        return None, args


def formerly(old: str, now: str, dest: str, *, multiple: bool = False) -> Decorator:
    """Accept the old name of an option of a command for one more version."""
    # A name of its own: the new option may have what click would make of the old one.
    own = f"former_{old.strip('-').replace('-', '_')}"
    return click.option(old, own, cls=FormerOption, now=now, dest=dest, multiple=multiple)


class TimeText(click.ParamType):
    """A time as people write it, which the command parses: it may also take offsets."""

    name = "time"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> str:
        """Return the text; `-2h` is how older versions wrote `2h`."""
        text = str(value)
        if _FORMER_AGO.fullmatch(text) is None:
            return text
        if ctx is None or not ctx.resilient_parsing:
            name = f"{param.opts[0]} " if param is not None else ""
            say(
                f"{name}{text} is written {name}{text[1:]} now; the old form ends with the next "
                "version"
            )
        return text[1:]


def time_options(
    only: str, default_from: str | None = None, *, takes_offsets: bool = False
) -> Decorator:
    """Add `--from` and `--to` to a command, which gets their texts as `start` and `end`.

    Args:
        only: what is selected, as `Only those fired`.
        default_from: where it starts without `--from`.
        takes_offsets: whether they may also be offsets of a topic.
    """
    also = ", or an offset" if takes_offsets else ""
    options = (
        click.option(
            "--from", "start", metavar="T", type=TimeText(), default=default_from,
            show_default=bool(default_from),
            help=f"{only} at this time or later: {TIME_FORMS}{also}.",
        ),
        click.option(
            "--to", "end", metavar="T", type=TimeText(), help=f"{only} before this time."
        ),
        formerly("--since", "--from", "start"),
        formerly("--until", "--to", "end"),
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def files_option(help_text: str, *, required: bool = False) -> Decorator:
    """Add `-f` to a command, which gets the names of one or several files as `files`."""
    return click.option(
        "-f", "--file", "files", metavar="FILE", multiple=True, required=required, help=help_text
    )


def moments_of(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return the Unix ms of `--from` and `--to`.

    Raises:
        UsageError: one is no time, or no time is left between the two.
    """
    now_ms = time.time_ns() // 1_000_000
    from_ms, to_ms = (None if text is None else parse_time(text, now_ms) for text in (start, end))
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise UsageError(
            f"--from {start} ({iso_utc(from_ms)}) is not before --to {end} ({iso_utc(to_ms)}): "
            "no time is left between"
        )
    return from_ms, to_ms


def end_undone(*, as_json: bool) -> NoReturn:
    """End a command that was called without `--yes`, so that a script does not go on as if done."""
    (say if as_json else print_line)("nothing is done yet: add --yes to do it")
    raise click.exceptions.Exit(UsageError.exit_code)

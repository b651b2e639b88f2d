"""What commands print is text: no markup, no program; and nothing else prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from stream_app.cli import main, output
from stream_app.cli.configuration.yaml_values import dump_all, load_all
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.foreign_text.printable import printable
from tests.examples import examples
from tests.unit.domain.foreign_text.test_printable import CHARACTERS, TEXTS

SGR = re.compile(r"\x1b\[[0-9;]*m")
#: Each goes through all that prints.
FEW = examples(20)
MARKUP = "Notify [/marketing] [on hold] :100: [link=https://evil.example]x[/link] [red]y"
CODE = """
import sys
import click
from rich.console import Console
from rich import print as shown
from rich.table import Table
click.echo("x")
click.secho("x")
click.style("x")
sys.stdout.write("x")
sys.stderr.write("x")
print("x")
"""


class Terminal:
    """Takes what is written to stdout and stderr as a terminal of 500 columns would."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.text = ""
        patch.setattr("sys.stdout", self)
        patch.setattr("sys.stderr", self)
        patch.setenv("COLUMNS", "500")
        patch.setenv("TERM", "xterm-256color")

    encoding = "utf-8"

    def write(self, text: str) -> None:
        text.encode()
        self.text += text

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        return True


def printed(call: object, *args: object) -> str:
    """Return what is left when our own styles are taken away."""
    with pytest.MonkeyPatch.context() as patch:
        terminal = Terminal(patch)
        call(*args)  # type: ignore[operator]
        return SGR.sub("", terminal.text)


def raised(text: str) -> None:
    output.complain(ConfigurationError(text))


@pytest.mark.parametrize("call", [output.print_line, output.say, output.print_lines, raised])
def test_markup_is_text(call: object) -> None:
    assert MARKUP in printed(call, MARKUP)


def test_a_cell_is_text_and_as_wide_as_it_looks() -> None:
    text = printed(output.print_table, ["A", "[b]B"], [[MARKUP, 1], ["日本\x1b[2J", None]])
    assert MARKUP in text
    assert r"日本\x1b[2J" in text
    head, _, row = text.splitlines()
    assert cell_len(row.split("not set")[0]) == cell_len(head.split("[b]B")[0])


def styled(text: str) -> None:
    output.print_line(output.Styled(text, "red", bold=True), text)


def table(text: str) -> None:
    output.print_table([text, "B"], [[text, [text]], [{text: text}, None]])


def traced(text: str) -> None:
    output.show_traceback(ValueError, ValueError(text), None)


def misused(text: str) -> None:
    output.show_usage_error(click.UsageError(text))


def as_json(text: str) -> None:
    output.print_json({text: text})


@settings(max_examples=FEW)
@given(TEXTS)
def test_nothing_that_is_printed_acts_on_a_terminal(text: str) -> None:
    for call in (
        output.print_line, output.print_lines, output.say, output.say_lines, output.paint_over,
        raised, styled, table, traced, misused, as_json,
    ):  # fmt: skip
        lines = printed(call, text).removeprefix("\r\x1b[2K").split("\n")
        assert [line for line in lines if printable(line) != line] == [], call


@settings(max_examples=FEW)
@given(TEXTS)
def test_a_line_is_one_line(text: str) -> None:
    for call in (output.print_line, output.say, styled):
        assert printed(call, text).count("\n") == 1


@settings(max_examples=FEW)
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS)))
def test_json_on_a_terminal_means_the_same(value: dict[str, object]) -> None:
    assert json.loads(printed(output.print_json, value)) == json.loads(json.dumps(value))


#: Half of a surrogate pair cannot stand in a file.
WHOLE = st.text(CHARACTERS.filter(lambda c: not "\ud800" <= c <= "\udfff"), max_size=60)


@settings(max_examples=FEW)
@given(st.lists(st.dictionaries(WHOLE, WHOLE | st.lists(WHOLE), min_size=1), min_size=1))
def test_yaml_does_nothing_and_is_read_as_it_was(documents: list[dict[str, object]]) -> None:
    text = dump_all(documents)
    assert [line for line in text.split("\n") if printable(line) != line] == []
    assert list(load_all(text)) == documents


def test_data_for_another_program_is_as_it_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.print_data(b"\x1b\xff")
    output.print_json({"a": "\u202e"})
    sys.stdout.flush()
    assert capfdbinary.readouterr().out.splitlines()[-1].endswith('{"a":"\u202e"}'.encode())


def test_only_the_first_line_of_an_error_has_the_prefix() -> None:
    text = printed(raised, "wrong:\n  a\nstream-app: all is well\r\x1b[2J")
    assert text == "stream-app: wrong:\n  a\n  stream-app: all is well\\r\\x1b[2J\n"


@pytest.mark.parametrize("args", [["\x1b[2J"], ["status", "--\x1b[2J\u202e"], ["get", "\x9b\n"]])
def test_an_argument_is_shown_as_text(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(args)
    text = capsys.readouterr().err
    assert all(line.isprintable() for line in text.split("\n"))


def test_nothing_but_this_module_prints() -> None:
    """The linter refuses what writes to a terminal everywhere else."""
    done = subprocess.run(
        [*(sys.executable, "-m", "ruff", "check", "--select", "TID251,T20"),
         *("--output-format", "concise", "--stdin-filename", "stream_app/cli/other.py", "-")],
        input=CODE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.findall(r"other\.py:(\d+):\d+: (TID251|T201)", done.stdout)
    assert [int(line) for line, _ in found] == list(range(4, 13)), done.stdout


@pytest.mark.parametrize("cell", ["x" * 100_000, "\x1b" * 25_000, ["x" * 99_996]])
def test_a_very_long_cell_is_cut(cell: object, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["A", "B"], [[61, cell], [62, "y" * 1000]])
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 20
    assert "… (100,000 characters)" in text.replace("\n", " ")
    assert text.count("y") == 1000, "what a person may need to the end is not cut"


def run_in_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run commands of stream-app with the redirections of a shell."""
    command = line.replace("stream-app", f"{sys.executable} -m stream_app")
    return subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "line",
    [
        "stream-app cloud-ips --json",
        "stream-app secrets generate",
        "stream-app --help",
        "stream-app --version",
    ],
)
def test_a_full_disk_behind_stdout_is_one_line(line: str) -> None:
    done = run_in_shell(f"{line} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("stream-app: stdout cannot be written: No space left on device: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("stream-app sample --format json --count 3 --rate 1000 2> /dev/full | wc -l", 0, "3\n"),
        ("stream-app cloud-ips --clod 2> /dev/full", 2, ""),
    ],
)
def test_a_note_that_cannot_be_written_changes_nothing(line: str, code: int, said: str) -> None:
    done = run_in_shell(f"set -o pipefail; {line}")
    assert (done.returncode, done.stdout) == (code, said)


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_an_empty_one(closed: str) -> None:
    done = run_in_shell(f"stream-app cloud-ips {closed}")
    assert (done.returncode, done.stderr) == (0, "")

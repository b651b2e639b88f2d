"""What prints line by line is readable on a terminal of 60 columns, too, and a line in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stream_app.cli.dlq.list import _Table
from stream_app.cli.operations.doctor import _show
from stream_app.cli.output import print_text
from stream_app.doctor.check import warn
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from tests.unit.cli.test_output import SGR, Terminal
from tests.unit.domain.dead_letters.test_dead_letter import letter

STEP = "stream-app dlq list events.hits --reason unknown_client, then apply the client"
FINDING = warn("dead letters", "3 events of events.hits could not be used: unknown_client", STEP)


def print_letter() -> None:
    one = letter(3, headers=(("x-error-reason", b"stale"), ("x-error-message", b"a b " * 20)))
    index = DeadLetterIndex(Selection())
    index.add_if_selected(one)
    table = _Table(with_done=False)
    asyncio.run(table.begin(index))
    table.row(one, "")


def narrow(call: Callable[[], None]) -> list[str]:
    """Return the lines that a terminal of 60 columns gets, without our own styles."""
    with pytest.MonkeyPatch.context() as patch:
        terminal = Terminal(patch)
        patch.setenv("COLUMNS", "60")
        call()
        return SGR.sub("", terminal.text).splitlines()


def test_a_finding_is_wrapped_beside_its_name_and_its_step_can_be_copied() -> None:
    assert narrow(lambda: _show(FINDING, as_json=False)) == [
        "warn  dead letters      3 events of events.hits could not be",
        "                        used: unknown_client",
        f"      ->  {STEP}",
    ]


def test_a_finding_in_a_pipe_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    _show(FINDING, as_json=False)
    assert capsys.readouterr().out.endswith(f"unknown_client  ->  {STEP}\n")


def test_a_dead_letter_is_a_block() -> None:
    lines = narrow(print_letter)
    assert [line.split()[0] for line in lines[:5]] == ["PLACE", "WHEN", "REASON", "ATTEMPT", "FROM"]
    assert all(len(line) <= 60 for line in lines)


def test_a_dead_letter_in_a_pipe_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_letter()
    head, row = capsys.readouterr().out.splitlines()
    assert head.startswith("PLACE ")
    assert row.startswith("deliveries.dlq/1/3 ")


def test_a_text_goes_on_indented_and_is_a_line_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "send: ok: the service has taken the message and answers that it knows the alert"
    first, second = narrow(lambda: print_text(text))
    assert (len(first) <= 60, f"{first} {second.removeprefix('  ')}") == (True, text)
    print_text(text)
    assert capsys.readouterr().out == f"{text}\n"

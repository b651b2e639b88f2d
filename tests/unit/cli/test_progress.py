from __future__ import annotations

import io

import pytest

from stream_app.cli.output import print_line, say
from stream_app.cli.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_amount_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, now = Terminal(), [100.0]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("stream_app.cli.progress.time.monotonic", lambda: now[0])
    with ProgressLine(1000) as shown:
        now[0] += 2
        shown.report(400)
        now[0] += 0.1
        shown.report(500)
    assert terminal.getvalue() == (
        "\r\x1b[2K400 of 1,000 records (40 %), 200/s, 3 s left" + "\r\x1b[2K"
    )


def test_what_is_printed_meanwhile_does_not_stand_behind_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with ProgressLine(10) as shown:
        shown.report(10)
        say("10 records in 0.1 s")
        say("that is all")
    assert terminal.getvalue().endswith(
        "s left\r\x1b[2K10 records in 0.1 s\nthat is all\n\r\x1b[2K"
    )

    with ProgressLine(10) as shown:
        shown.report(10)
        print_line("a row")
    assert terminal.getvalue().endswith("s left\r\x1b[2K\r\x1b[2K")
    assert capsys.readouterr().out == "a row\n"


def test_a_line_is_not_wider_than_the_terminal_which_could_not_remove_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    with ProgressLine(200_000, what="deliveries") as shown:
        shown.report(100_000)
    _, line, _ = terminal.getvalue().split("\r\x1b[2K")
    assert line == "deliveries: 100,000 of 200,000 records "


def test_without_a_terminal_only_the_end_of_an_interrupted_read_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with ProgressLine(10) as shown:
        shown.report(5)
    assert stderr.getvalue() == ""

    def interrupted() -> None:
        with ProgressLine(10) as stopped:
            stopped.report(5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stderr.getvalue().startswith("stopped after 5 of 10 records (50 %)")

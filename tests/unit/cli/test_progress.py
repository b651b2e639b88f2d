from __future__ import annotations

import io

import pytest

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

from __future__ import annotations

import pytest

from stream_app.cli.operations.demo import show_on_terminal
from stream_app.opsgenie.sandbox.state import SandboxState

LINK = "https://my.wallarm.com/attacks?q=incidents&time_from=1767225661&time_to=1767225662"
TITLE = "[Wallarm] Trigger: The number of [bold]hits exceeded the threshold"


def test_a_terminal_shows_the_whole_text_with_its_lines_unbroken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    payload = {"message": TITLE, "description": f"View events:\n{LINK}\n\n[red]x"}
    alert = SandboxState(10, 0).create(payload, "id", 1_767_225_661_000)
    show_on_terminal(alert)
    out = capsys.readouterr().out
    assert f"\n{TITLE}\n\nView events:\n{LINK}\n\n[red]x\n" in out
    assert "2026-01-01T00:01:01.000Z  P3" in out

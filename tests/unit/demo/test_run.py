"""Parts of the demo's run that need no process."""

from __future__ import annotations

import asyncio
import time

import pytest

from stream_app.demo.run import Demo, _to_its_end
from stream_app.opsgenie.sandbox.state import AlertView, SandboxState
from stream_app.settings import Settings


def alert(time_to: int) -> AlertView:
    payload = {"message": "m", "alias": str(time_to), "details": {"time_to": str(time_to)}}
    return SandboxState(10, 0).create(payload, "id", 0)


def test_alerts_of_windows_before_the_run_are_hidden_and_a_line_says_so_once() -> None:
    shown: list[AlertView] = []
    said: list[str] = []
    demo = Demo(Settings(), shown.append, said.append, rate=1, seed=1, seconds=None)
    now = int(time.time())
    for time_to in (now - 3600, now - 10, now + 60):
        demo._show_arrived(alert(time_to))
    assert [a.alias for a in shown] == [str(now + 60)]
    assert said == ["alerts of an earlier run arrive, too; they are not shown"]


async def test_work_is_awaited_to_its_end_however_often_it_is_cancelled() -> None:
    steps: list[str] = []

    async def end() -> None:
        steps.append("begun")
        await asyncio.sleep(0.2)
        steps.append("done")

    task = asyncio.create_task(_to_its_end(end()))
    for _ in range(3):
        await asyncio.sleep(0.02)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["begun", "done"]


async def test_an_error_of_awaited_work_is_not_lost() -> None:
    async def end() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await _to_its_end(end())

"""Runs the doctor's checks and collects their findings. A check that raises has failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from stream_app.domain.errors import StreamAppError, error_text
from stream_app.settings import Settings

#: A check that takes longer counts as failed.
CHECK_SECONDS = 30.0


#: Beginning of the text of a check that was skipped.
NOT_LOOKED_AT = "not looked at: "


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "ok"
    #: It works, but somebody should know something; or it could not be checked.
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What a check has found, what to do about it, and how long the check took."""

    check: str
    verdict: CheckStatus
    text: str
    next_step: str = ""
    seconds: float = 0.0


class NoTopicsFinding(Finding):
    """The finding that none of the topics is there."""


@dataclass(frozen=True)
class Check:
    """A check. It is skipped if what it needs, a broker or topics, has been found missing."""

    name: str
    run: Callable[[Settings], Awaitable[Sequence[Finding]]]
    needs_broker: bool = True
    needs_topics: bool = False
    is_broker: bool = False


def ok(check: str, text: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(check, CheckStatus.OK, text)


def warn(check: str, text: str, next_step: str) -> Finding:
    """Return the finding that somebody should know something."""
    return Finding(check, CheckStatus.WARN, text, next_step)


def fail(check: str, text: str, next_step: str) -> Finding:
    """Return the finding that something does not work."""
    return Finding(check, CheckStatus.FAIL, text, next_step)


async def run_checks(
    checks: Sequence[Check], settings: Settings, limit_seconds: float = CHECK_SECONDS
) -> AsyncIterator[Finding]:
    """Run checks one after the other, and yield the findings of each as soon as it ends."""
    has_broker = has_topics = True
    for check in checks:
        if check.needs_broker and not has_broker:
            yield warn(check.name, f"{NOT_LOOKED_AT}the broker cannot be used", "mend that first")
            continue
        if check.needs_topics and not has_topics:
            yield warn(check.name, f"{NOT_LOOKED_AT}the topics are not there", "mend that first")
            continue
        began = time.monotonic()
        findings = await _findings(check, settings, limit_seconds)
        seconds = round(time.monotonic() - began, 3)
        if check.is_broker and any(f.verdict is CheckStatus.FAIL for f in findings):
            has_broker = False
        if any(isinstance(finding, NoTopicsFinding) for finding in findings):
            has_topics = False
        for finding in findings:
            yield replace(finding, seconds=seconds)


async def _findings(check: Check, settings: Settings, limit_seconds: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(limit_seconds):
            return await check.run(settings)
    except TimeoutError:
        text = f"no end within {limit_seconds:.0f} s"
        return [fail(check.name, text, "is the broker or the network overloaded?")]
    except StreamAppError as error:
        # Our own errors already name the next step.
        return [fail(check.name, str(error), "")]
    except Exception as error:  # noqa: BLE001 - a check that cannot be carried out is a finding
        return [fail(check.name, error_text(error), "look at the cause by hand")]

"""What the test of an integration or a heartbeat reports: its steps, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType

from stream_app.domain.delivery.reasons import AttemptReason, LocalReason
from stream_app.opsgenie.destination import Outcome

#: Refusals that are final. After any other failure the same test may succeed later.
REFUSALS = (
    AttemptReason.REDIRECT,
    AttemptReason.BAD_REQUEST,
    AttemptReason.UNAUTHORIZED,
    AttemptReason.PAYMENT_REQUIRED,
    AttemptReason.FORBIDDEN,
    AttemptReason.NOT_FOUND,
    AttemptReason.UNPROCESSABLE,
    AttemptReason.KEY_FORMAT,
)


class TrialStage(StrEnum):
    """The stages of an integration's test, in their order."""

    CONFIGURATION = "configuration"
    ALERTS = "alerts"
    HOST = "host"
    KEY = "key"
    SEND = "send"
    STATUS = "status"
    CLOSE = "close"


class HeartbeatStage(StrEnum):
    """The stages of a heartbeat's test, in their order."""

    TARGET = "target"
    READING = "reading"
    PING = "ping"
    ARRIVAL = "arrival"


class StepStatus(StrEnum):
    """How a step ended."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    FAILED = "failed"


class TrialResult(IntEnum):
    """The result of a test; the exit code of the command."""

    OK = 0
    INVALID = 3
    REFUSED = 5
    RETRYABLE = 6


@dataclass(frozen=True)
class Step:
    """One step of a test, in plain words; `facts` are for machines, and hold no key."""

    stage: TrialStage | HeartbeatStage
    status: StepStatus
    text: str
    result: TrialResult = TrialResult.OK
    facts: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the step as the command prints it."""
        return {"step": self.stage, "result": self.status, "text": self.text, **self.facts}


NO_FACTS: Mapping[str, object] = MappingProxyType({})
#: Takes each step as it happens.
Report = Callable[[Step], None]


def result_of(outcome: Outcome) -> TrialResult:
    """Return the result of a test that ends with an outcome."""
    if outcome.accepted:
        return TrialResult.OK
    if isinstance(outcome.reason, LocalReason):  # nothing was sent: the configuration is wrong
        return TrialResult.INVALID
    return TrialResult.REFUSED if outcome.reason in REFUSALS else TrialResult.RETRYABLE


def worst(*results: TrialResult) -> TrialResult:
    """Return the worst of several results; to be refused is worse than to be retryable."""
    order = (TrialResult.OK, TrialResult.RETRYABLE, TrialResult.REFUSED, TrialResult.INVALID)
    return max(results, key=order.index, default=TrialResult.OK)


@dataclass(frozen=True)
class StepReporter:
    """Reports the steps of a test."""

    report: Report

    def say(
        self,
        stage: TrialStage | HeartbeatStage,
        status: StepStatus,
        text: str,
        facts: Mapping[str, object] = NO_FACTS,
        result: TrialResult = TrialResult.OK,
    ) -> TrialResult:
        """Report a step; return its result."""
        self.report(Step(stage, status, text, result, facts))
        return result

    def fail(
        self, stage: TrialStage | HeartbeatStage, outcome: Outcome, text: str, **facts: object
    ) -> TrialResult:
        """Report a request that did not have the wanted outcome; return the step's result."""
        known = {"http_status": outcome.status, "reason": outcome.reason, **facts}
        return self.say(stage, StepStatus.FAILED, text, known, result_of(outcome))

"""What the test of an integration tells: its steps, and what follows for who called it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.opsgenie.destination import Outcome

#: What the service means for good; anything else may be otherwise in a while.
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
    """The steps, in their order."""

    CONFIGURATION = "configuration"
    HOST = "host"
    KEY = "key"
    SEND = "send"
    STATUS = "status"
    CLOSE = "close"


class StepMark(StrEnum):
    """How a step has ended."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    FAILED = "failed"


class TrialResult(IntEnum):
    """What a test comes to; the exit code of the command."""

    OK = 0
    INVALID = 3
    REFUSED = 5
    RETRYABLE = 6


@dataclass(frozen=True)
class Step:
    """One thing that was done, in plain words; `facts` are for machines, and hold no key."""

    stage: TrialStage
    mark: StepMark
    text: str
    result: TrialResult = TrialResult.OK
    facts: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the step as the command prints it."""
        return {"step": self.stage, "result": self.mark, "text": self.text, **self.facts}


#: Takes each step as it happens.
Report = Callable[[Step], None]


def result_of(outcome: Outcome) -> TrialResult:
    """Return what an answer means for the test."""
    if outcome.accepted:
        return TrialResult.OK
    return TrialResult.REFUSED if outcome.reason in REFUSALS else TrialResult.RETRYABLE


def worst(*results: TrialResult) -> TrialResult:
    """Return what several results come to: one refusal for good stands above the rest."""
    order = (TrialResult.OK, TrialResult.RETRYABLE, TrialResult.REFUSED, TrialResult.INVALID)
    return max(results, key=order.index, default=TrialResult.OK)


def failed(stage: TrialStage, outcome: Outcome, text: str, **facts: object) -> Step:
    """Return the step of an answer that was not the wanted one."""
    known = {"http_status": outcome.status, "reason": outcome.reason, **facts}
    return Step(stage, StepMark.FAILED, text, result_of(outcome), known)

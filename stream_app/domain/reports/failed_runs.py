"""Integrations all of whose newest requests have failed, long before the judge disables them.

One failed request says little, since it is made again. A message is tried again after 1 and 3
seconds. If its third try fails, too, and no other message was accepted meanwhile, the fault lasts.
A burst of messages in a short outage has many failures, but no third try among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

#: From this try of a message, and from this number of failures on, a fault lasts.
THIRD = 3


class RequestOutcome(msgspec.Struct, frozen=True, tag_field="type", tag="attempt"):
    """The part of an attempt's result that tells whether its integration works."""

    integration_id: int
    accepted: bool
    reason: str
    attempt: int
    epoch: int = 0
    is_sent: bool = True


@dataclass(frozen=True)
class FailedRun:
    """The newest requests of an integration, none of which was accepted. `since_ms` is Unix ms."""

    epoch: int
    requests: int
    since_ms: int
    reason: str
    attempt: int


class FailedRuns:
    """The run of failed requests of each integration; outcomes are added in their order."""

    def __init__(self) -> None:
        self._runs: dict[int, FailedRun] = {}

    def add(self, outcome: RequestOutcome, at_ms: int) -> None:
        """Add the outcome of a request; an attempt that made none says nothing."""
        if not outcome.is_sent:
            return
        number = outcome.integration_id
        run = self._runs.get(number)
        if run is not None and outcome.epoch < run.epoch:
            return
        if outcome.accepted:
            self._runs[number] = FailedRun(outcome.epoch, 0, at_ms, "", 0)
            return
        if run is None or run.requests == 0 or outcome.epoch > run.epoch:
            run = FailedRun(outcome.epoch, 0, at_ms, "", 0)
        self._runs[number] = FailedRun(
            outcome.epoch,
            run.requests + 1,
            run.since_ms,
            outcome.reason,
            max(run.attempt, outcome.attempt),
        )

    def of(self, integration_id: int, epoch: int) -> FailedRun | None:
        """Return the run of an integration that fails; None: it works, or nothing shows it.

        Args:
            integration_id: the integration's.
            epoch: its present one: requests before it was enabled or mended count no more.
        """
        run = self._runs.get(integration_id)
        if run is None or run.epoch < epoch or min(run.requests, run.attempt) < THIRD:
            return None
        return run

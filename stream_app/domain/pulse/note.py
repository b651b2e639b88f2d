"""What has stopped the pulse, and what a notifier writes about it for others to read."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from stream_app.domain.bounds import Int64
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID, PULSE_INTEGRATION_ID

#: Most reasons in one note, and most characters of each.
MAX_STOPS = 10
MAX_CHARACTERS = 500


class PulseReason(StrEnum):
    """Why no heartbeat is pinged: a closed list, the `reason` label of the metric."""

    NO_WORKER = "no_worker"
    UNASSIGNED = "unassigned"
    OLDER_WORKER = "older_worker"
    STANDS_STILL = "stands_still"
    EVENT_NOT_SENT = "event_not_sent"
    EVENT_MISSING = "event_missing"
    DELIVERIES_WAIT = "deliveries_wait"
    NOT_READ = "not_read"
    PING_FAILED = "ping_failed"
    #: It is pinged, but pings do not reach it.
    HEARTBEAT = "heartbeat"


#: What a person does about each.
NEXT_STEPS = {
    PulseReason.NO_WORKER: "start one, or look at its log",
    PulseReason.UNASSIGNED: "if it stays so, look at the workers' logs",
    PulseReason.OLDER_WORKER: "upgrade it: until then nothing is pinged (deploy/upgrading.md)",
    PulseReason.STANDS_STILL: "/readyz?verbose of each worker of the role says why",
    PulseReason.EVENT_NOT_SENT: "let the notifiers write to the topics of events (deploy/acls.md)",
    PulseReason.EVENT_MISSING: "look at the lag, and at the logs of detectors and notifiers",
    PulseReason.DELIVERIES_WAIT: "look at the log of that notifier, and start it again",
    PulseReason.NOT_READ: "a broker is away, or a right is missing (deploy/acls.md)",
    PulseReason.PING_FAILED: "check STREAM_APP_HEARTBEAT__…: its key, its name and its host",
    PulseReason.HEARTBEAT: "look at the heartbeat at its service",
}


class PulseStop(msgspec.Struct, frozen=True):
    """One thing that stops the pulse; `why` is for people."""

    reason: PulseReason
    why: str

    def __str__(self) -> str:
        """Return the reason, and why."""
        return f"{self.why} ({self.reason})"


class PulseNote(msgspec.Struct, frozen=True, tag_field="type", tag="pulse", omit_defaults=True):
    """A note about the pulse: how its owner finds it, or what another notifier has against it.

    `worker` names the notifier, `is_owner` says whether it is the one that pings, `noted_at_ms`
    and `pinged_at_ms` (0: never) are Unix ms. Only the owner notes that nothing stops the pulse.
    """

    worker: str
    noted_at_ms: Int64
    is_owner: bool
    pinged_at_ms: Int64 = 0
    stops: tuple[PulseStop, ...] = ()
    client_id: Int64 = PULSE_CLIENT_ID
    integration_id: Int64 = PULSE_INTEGRATION_ID


def bounded(stops: Sequence[PulseStop]) -> tuple[PulseStop, ...]:
    """Return the stops as a note may hold them."""
    return tuple(PulseStop(one.reason, one.why[:MAX_CHARACTERS]) for one in stops[:MAX_STOPS])

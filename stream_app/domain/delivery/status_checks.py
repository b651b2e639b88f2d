"""Status checks of accepted requests: which requests are checked, when, and with what outcome.

The service answers 202 before it applies its own rules, and may drop the alert afterwards. A
little later it can be asked, by the request's id, what became of the request.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from stream_app.domain.times import HOUR_MS

#: The wait before each time of asking; the service needs a moment.
CHECK_WAITS_SECONDS = (2, 5, 15)
_DIGEST_BYTES = 8


class CheckOutcome(StrEnum):
    """What a check has found: a closed list, the `outcome` label of the metric."""

    SUCCESS = "success"
    FAILED = "failed"
    #: The service has no state of the request (yet), or does not tell it to this kind of key.
    UNKNOWN = "unknown"
    #: The service could not be asked, or its answer cannot be read.
    UNREADABLE = "unreadable"


class CheckSample:
    """Chooses the accepted requests that are checked.

    It chooses a share of them by the delivery's id, so that every worker chooses the same ones.
    It also chooses the first one of each integration in each hour, so that a quiet integration is
    checked, too.

    Args:
        share: 0 to 1; 0 chooses nothing at all.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        #: Integration -> the hour of its last chosen request.
        self._hours: dict[int, int] = {}

    def chooses(self, delivery_id: str, integration_id: int, accepted_at_ms: int) -> bool:
        """Tell whether an accepted request is checked."""
        if self._share == 0:
            return False
        hour = accepted_at_ms // HOUR_MS
        is_first = self._hours.get(integration_id) != hour
        if is_first:
            self._hours[integration_id] = hour
        return is_first or _position(delivery_id) < self._share


def _position(delivery_id: str) -> float:
    """Return where an id stands between 0 and 1, evenly spread over all ids."""
    digest = hashlib.sha256(delivery_id.encode()).digest()[:_DIGEST_BYTES]
    return float(int.from_bytes(digest) / (1 << 8 * _DIGEST_BYTES))

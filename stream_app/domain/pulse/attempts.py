"""Deliveries that are due and that nobody sends.

The age of a delivery says nothing: one whose integration fails waits for half an hour by its
schedule, and thousands of them take their turns. What counts is whether the sender works: an
integration's deliveries are due, nothing holds them, and no request of it has ended for long.
"""

from __future__ import annotations

from collections.abc import Mapping


class AttemptWatch:
    """Follows the attempts of a notifier. Times are ms of a clock that is never set."""

    def __init__(self) -> None:
        #: When the attempts in flight began, by delivery: the integration, and the time.
        self._begun: dict[str, tuple[int, int]] = {}
        #: When the newest attempt of each integration ended.
        self._ended_ms: dict[int, int] = {}
        #: Integrations for which no request can be made here: since when, until when, and why.
        self._faults: dict[int, tuple[int, int, str]] = {}

    def begin(self, delivery_id: str, integration_id: int, now_ms: int) -> None:
        """Note that an attempt begins."""
        self._begun[delivery_id] = integration_id, now_ms

    def end(self, delivery_id: str, integration_id: int, now_ms: int, own_fault: str = "") -> None:
        """Note that an attempt has ended and its result is written.

        `own_fault` says why no request could be made here: that is no sign of life.
        """
        self._begun.pop(delivery_id, None)
        if own_fault:
            since_ms = self._faults.get(integration_id, (now_ms,))[0]
            self._faults[integration_id] = since_ms, now_ms, own_fault
        else:
            self._faults.pop(integration_id, None)
            self._ended_ms[integration_id] = now_ms

    def waiting(self, due_ms: Mapping[int, int], now_ms: int, most_ms: int) -> dict[int, str]:
        """Return the integrations that are not served, and what each waits for.

        Args:
            due_ms: since when each integration could have been served.
            now_ms: the time.
            most_ms: how long it may take.
        """
        since = dict(due_ms)
        for integration_id, begun_ms in self._begun.values():
            since[integration_id] = min(since.get(integration_id, begun_ms), begun_ms)
        found = {}
        for integration_id, at_ms in since.items():
            waits_ms = now_ms - max(at_ms, self._ended_ms.get(integration_id, at_ms))
            if waits_ms >= most_ms:
                found[integration_id] = (
                    f"deliveries of integration {integration_id} are due, and no request has "
                    f"ended for {waits_ms // 1000} s"
                )
        for integration_id, (since_ms, until_ms, why) in self._faults.items():
            if until_ms - since_ms >= most_ms and now_ms - until_ms < most_ms:
                found[integration_id] = (
                    f"no request to integration {integration_id} can be made: {why}"
                )
        return found

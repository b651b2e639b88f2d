"""The faults that are on: which of them a request meets, and when each ends. Pure.

Faults for the same request apply in the order in which they were added. So a fault for two requests
and a second fault make a sequence. Times are seconds of any clock that only goes forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_app.opsgenie.sandbox.fault import RULES, SECRET_FIELDS, Fault, Operation, key_end

#: Most keys whose tokens are kept for a limit of requests a second.
MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class FaultView:
    """A fault that is on: how many requests it has failed, and what is left (None: no end)."""

    id: int
    fault: Fault
    failed: int
    requests_left: int | None
    seconds_left: float | None

    def as_json(self) -> dict[str, object]:
        """Return the fault as `/sandbox/faults` shows it, with only the end of its key."""
        fault = self.fault
        named = {name: getattr(fault, name) for name in RULES if name not in SECRET_FIELDS}
        end = key_end(fault.key or "") if fault.key_end is None else fault.key_end
        is_for_all = fault.key is None and fault.key_end is None
        return {
            "id": self.id,
            "kind": fault.kind,
            **{name: value for name, value in named.items() if value is not None},
            "on": list(fault.on),
            "key": None if is_for_all else f"...{end}",
            "failed": self.failed,
            "requests_left": self.requests_left,
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 3),
        }


class Faults:
    """The faults that are on, oldest first."""

    def __init__(self) -> None:
        self._active: dict[int, _ActiveFault] = {}
        self._last_id = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def turn_on(self, fault: Fault, now: float) -> FaultView:
        """Turn a fault on."""
        self._last_id += 1
        active = self._active[self._last_id] = _ActiveFault(self._last_id, fault, now)
        return active.view(now)

    def take(self, operation: Operation, key: str, now: float) -> Fault | None:
        """Return the fault that a request meets, and count the request; None: there is none."""
        self._expire(now)
        for active in self._active.values():
            if active.fault.fits(operation, key) and not active.lets_pass(key, now):
                active.failed += 1
                self._expire(now)
                return active.fault
        return None

    def clear(self, now: float, fault_id: int | None = None) -> list[FaultView]:
        """Turn off one fault, or all, and return them. An unknown id is no error."""
        found = [view for view in self.views(now) if fault_id in (None, view.id)]
        for view in found:
            del self._active[view.id]
        return found

    def views(self, now: float) -> list[FaultView]:
        """Return the faults that are on, oldest first."""
        self._expire(now)
        return [active.view(now) for active in self._active.values()]

    def _expire(self, now: float) -> None:
        over = [active.id for active in self._active.values() if active.is_over(now)]
        for fault_id in over:
            del self._active[fault_id]


class _ActiveFault:
    """A fault that is on, with its count of failed requests and each key's tokens."""

    def __init__(self, fault_id: int, fault: Fault, now: float) -> None:
        self.id = fault_id
        self.fault = fault
        self.failed = 0
        self._ends_at = math.inf if fault.seconds is None else now + fault.seconds
        #: Key -> (tokens, when they were that many).
        self._tokens: dict[str, tuple[float, float]] = {}

    def is_over(self, now: float) -> bool:
        """Tell whether its number of requests or its time is used up."""
        is_spent = self.fault.requests is not None and self.failed >= self.fault.requests
        return is_spent or now >= self._ends_at

    def lets_pass(self, key: str, now: float) -> bool:
        """Take a token from the key's bucket, and tell whether it had one; without a rate: no."""
        rate = self.fault.per_second
        if rate is None:
            return False
        size = max(1.0, rate)
        tokens, then = self._tokens.pop(key, (size, now))
        tokens = min(size, tokens + (now - then) * rate)
        passes = tokens >= 1
        self._tokens[key] = (tokens - 1 if passes else tokens, now)
        if len(self._tokens) > MAX_KEYS:
            del self._tokens[next(iter(self._tokens))]
        return passes

    def view(self, now: float) -> FaultView:
        """Return what it has done by now, and what is left."""
        requests, ends_at = self.fault.requests, self._ends_at
        return FaultView(
            self.id,
            self.fault,
            self.failed,
            None if requests is None else requests - self.failed,
            None if ends_at == math.inf else ends_at - now,
        )

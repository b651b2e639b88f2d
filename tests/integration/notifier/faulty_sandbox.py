"""A sandbox that fails in every way, one way for each key, until it is healed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie

#: What goes wrong. `dead` stays dead after the healing.
FAULTS = {
    "hang": Fault(kind=FaultKind.HANG),
    "reset": Fault(kind=FaultKind.RESET),
    "http 500": Fault(kind=FaultKind.STATUS, status=500),
    "http 429": Fault(kind=FaultKind.RATE_LIMIT, retry_after="1", period="1"),
    "http 302": Fault(kind=FaultKind.REDIRECT),
    "garbage": Fault(kind=FaultKind.GARBAGE),
    "lost answer": Fault(kind=FaultKind.LOST_ANSWER),
    "dead": Fault(kind=FaultKind.STATUS, status=500),
}


class FaultySandbox:
    """A sandbox with a fault for some of its keys; counts every POST that reaches it."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.sandbox = SandboxOpsgenie(keys=[*faults], capacity=100_000)
        #: Id of a fault -> its kind, for all faults that have been on.
        self._kinds: dict[int, str] = {}
        self._ended: Counter[str] = Counter()
        for key, kind in faults.items():
            if kind:
                added = self.sandbox.fail(replace(FAULTS[kind], key=key))
                self._kinds[added.id] = kind

    @property
    def met(self) -> Counter[str]:
        """Kind -> requests that met it."""
        found = self._ended.copy()
        for view in self.sandbox.faults:
            found[self._kinds[view.id]] += view.failed
        return found

    @property
    def posts(self) -> Counter[str]:
        """Alias -> POSTs that reached the sandbox."""
        return Counter(request.alias for request in self.sandbox.requests)

    async def start(self) -> str:
        """Listen, and return the base URL."""
        return await self.sandbox.start()

    async def refuse(self, seconds: float) -> None:
        """Refuse connections for a while."""
        await self.sandbox.stop()
        await asyncio.sleep(seconds)
        await self.sandbox.start()

    def heal(self) -> None:
        """Answer everybody as the service does, except the dead."""
        for fault_id, kind in self._kinds.items():
            if kind != "dead":
                for view in self.sandbox.heal(fault_id):
                    self._ended[kind] += view.failed


def faults_of(keys: Sequence[str]) -> dict[str, str]:
    """Return a fault for half of the keys, and none for the others."""
    kinds = list(FAULTS)
    return {
        key: kinds[number // 2 % len(kinds)] if number % 2 else ""
        for number, key in enumerate(keys)
    }

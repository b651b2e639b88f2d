"""A sandbox whose answers go wrong in every way, one way for each key, until it is healed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import orjson
from aiohttp import web

from stream_app.opsgenie.sandbox import SandboxOpsgenie
from stream_app.opsgenie.sandbox_service import Exchange

#: What goes wrong. `dead` stays so after the healing; `lost answer`: accepted, and not said.
FAULTS = (
    "hang", "reset", "http 500", "http 429", "http 302", "garbage", "lost answer", "dead"
)  # fmt: skip
HANG_SECONDS = 30.0


class FaultySandbox:
    """A sandbox with a fault for some of its keys; counts every POST that reaches it."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.sandbox = SandboxOpsgenie(keys=[*faults], capacity=100_000)
        self.sandbox._api.steps.append(self._answer)
        #: Kind -> requests that met it; alias -> POSTs that reached the sandbox.
        self.met: Counter[str] = Counter()
        self.posts: Counter[str] = Counter()
        self._faults = faults
        self._is_healed = False

    async def start(self) -> str:
        """Listen, and return the base URL."""
        url = await self.sandbox.start()
        self.sandbox._port = int(url.rpartition(":")[2])
        return url

    async def refuse(self, seconds: float) -> None:
        """Refuse connections for a while."""
        await self.sandbox.stop()
        await asyncio.sleep(seconds)
        await self.sandbox.start()

    def heal(self) -> None:
        """Answer everybody as the service does, but for the dead."""
        self._is_healed = True

    async def _answer(self, exchange: Exchange) -> web.Response | None:
        payload = orjson.loads(await exchange.request.read())
        self.posts[payload["alias"]] += 1
        fault = self._faults[exchange.key]
        if fault == "" or (self._is_healed and fault != "dead"):
            return None
        self.met[fault] += 1
        transport = exchange.request.transport
        assert isinstance(transport, asyncio.Transport)
        if fault == "hang":
            await asyncio.sleep(HANG_SECONDS)
        elif fault == "garbage":
            transport.write(b"\x00\xff garbage \r\n\r\n")
            transport.close()
        elif fault == "lost answer":
            self.sandbox._api._state.create(payload, exchange.request_id, exchange.now_ms)
            transport.abort()
        elif fault == "reset":
            transport.abort()
        elif fault == "http 429":
            return exchange.answer(429, {"message": "throttled"}, {"Retry-After": "1"})
        elif fault == "http 302":
            return exchange.answer(302, {}, {"Location": "http://127.0.0.1:9/"})
        return exchange.answer(500, {"message": "server error"})


def faults_of(keys: Sequence[str]) -> dict[str, str]:
    """Return a fault for half of the keys, and none for the others."""
    return {
        key: FAULTS[number // 2 % len(FAULTS)] if number % 2 else ""
        for number, key in enumerate(keys)
    }

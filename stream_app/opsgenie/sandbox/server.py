"""A sandbox that plays Opsgenie and JSM Operations on loopback, and alerts nobody.

It answers as the services document it: with checks of keys and limits, one open alert for each
alias, and a status of each request that is known a moment later. `/sandbox` shows as JSON what has
arrived. Requests fail on demand, by `fail` and `heal` or by `/sandbox/faults`. A heartbeat is there
once `add_heartbeat` or `/sandbox/heartbeats` has made it, and pages when its pings stay away.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from stream_app.domain.errors import ConfigurationError
from stream_app.domain.foreign_text.network_names import is_loopback
from stream_app.domain.foreign_text.printable import quoted
from stream_app.opsgenie.endpoints import JSM_PATH
from stream_app.opsgenie.sandbox.active_faults import Faults
from stream_app.opsgenie.sandbox.control import FaultControl
from stream_app.opsgenie.sandbox.fault_step import FaultStep
from stream_app.opsgenie.sandbox.heartbeat_api import HeartbeatApi
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat, Heartbeats
from stream_app.opsgenie.sandbox.service import SANDBOX_HEADERS, ServiceApi, json_answer
from stream_app.opsgenie.sandbox.state import AlertView, RequestView, SandboxState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from stream_app.opsgenie.sandbox.active_faults import FaultView
    from stream_app.opsgenie.sandbox.fault import Fault

CAPACITY = 10_000
#: How long an accepted request stays unprocessed.
PROCESSING_MS = 100
BODY_LIMIT = 1024 * 1024
STOP_SECONDS = 1.0
GREETING = (
    "This is the sandbox of stream-app. It is not Opsgenie: it plays it, and nobody is alerted.\n"
)


class SandboxOpsgenie:
    """The sandbox: `start` it, read `alerts` and `requests`, `stop` it.

    It can be started again with the same URL, and keeps what has arrived and its faults.

    Args:
        host: the address to bind; one off loopback needs `allow_remote`.
        port: 0 takes a free one; `start` returns the URL.
        keys: the keys that are accepted; None: every well-formed one.
        on_alert: called with the alert after each accepted "create", even if that only counted up
            an open alert (then its `requests` is above 1).
        on_request: called with every request to the service, once its answer is known.
        capacity: how many alerts and requests are kept, the newest ones.
        processing_ms: how long an accepted request stays unprocessed: its status is unknown, and a
            note or a close finds no alert.

    Raises:
        ConfigurationError: the host is not on loopback.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Collection[str] | None = None,
        on_alert: Callable[[AlertView], None] | None = None,
        *,
        on_request: Callable[[RequestView], None] | None = None,
        allow_remote: bool = False,
        capacity: int = CAPACITY,
        processing_ms: int = PROCESSING_MS,
    ) -> None:
        if not (allow_remote or is_loopback(host)):
            raise ConfigurationError(
                f"sandbox host {quoted(host)} is not on loopback, and whoever reaches the sandbox "
                "reads its alerts: use 127.0.0.1"
            )
        self._host, self._port = host, port
        self._state = SandboxState(capacity, processing_ms, on_alert, on_request)
        self._api = ServiceApi(self._state, keys)
        self._faults = Faults()
        self._api.steps.append(FaultStep(self._faults))
        self._heartbeats = Heartbeats()
        self._heartbeat_api = HeartbeatApi(self._heartbeats, self._api, self._state)
        self._runner: web.AppRunner | None = None

    @property
    def alerts(self) -> list[AlertView]:
        """All alerts, oldest first."""
        return self._state.alerts

    @property
    def requests(self) -> list[RequestView]:
        """All requests to the played service, oldest first."""
        return self._state.requests

    @property
    def faults(self) -> list[FaultView]:
        """The faults that are on, oldest first."""
        return self._faults.views(time.monotonic())

    @property
    def heartbeats(self) -> list[Heartbeat]:
        """All heartbeats, oldest first."""
        return self._heartbeats.all

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Add a heartbeat, or put it in the place of another one of its name."""
        self._heartbeat_api.set(heartbeat)

    def clear(self) -> None:
        """Forget all alerts and requests; heartbeats and faults stay."""
        self._state.clear()

    def fail(self, fault: Fault) -> FaultView:
        """Turn a fault on."""
        return self._faults.turn_on(fault, time.monotonic())

    def heal(self, fault_id: int | None = None) -> list[FaultView]:
        """Turn off one fault, or all; return them, with how many requests each has failed."""
        return self._faults.clear(time.monotonic(), fault_id)

    async def start(self) -> str:
        """Listen, and return the base URL, which an integration may name as `target.api`.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        runner = web.AppRunner(self._build_app(), access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except (OSError, UnicodeError) as error:
            # UnicodeError: the host cannot be a name at all.
            await runner.cleanup()
            why = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"the sandbox cannot listen on {self._host} port {self._port}: {why}; "
                "name another port (0: a free one)"
            ) from error
        self._runner, self._port = runner, runner.addresses[0][1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def stop(self) -> None:
        """Stop listening; what has arrived can still be read."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _build_app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_LIMIT)
        app.on_response_prepare.append(_add_headers)
        app.cleanup_ctx.append(self._heartbeat_api.watch)
        app.add_routes(
            [
                *self._api.routes("", is_jsm=False),
                *self._api.routes(JSM_PATH, is_jsm=True),
                *FaultControl(self._faults).routes(),
                *self._heartbeat_api.routes(),
                web.get("/", _greet),
                web.get("/sandbox/alerts", self._show_alerts),
                web.get("/sandbox/requests", self._show_requests),
                web.delete("/sandbox", self._clear),
            ]
        )
        return app

    async def _show_alerts(self, _: web.Request) -> web.Response:
        return json_answer([alert.as_json() for alert in self.alerts])

    async def _show_requests(self, _: web.Request) -> web.Response:
        return json_answer([request.as_json() for request in self.requests])

    async def _clear(self, _: web.Request) -> web.Response:
        self.clear()
        return web.Response(status=204)


async def _greet(_: web.Request) -> web.Response:
    return web.Response(text=GREETING)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SANDBOX_HEADERS)

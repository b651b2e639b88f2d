"""What a worker says of itself: `/metrics`, `/livez` and `/readyz` on one address.

`/livez` never asks Kafka: a broker outage must not restart every worker. `/readyz` is 503 while
a check fails or the worker drains; `?verbose` lists the checks as JSON.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from stream_app.domain.errors import StreamAppError
from stream_app.metrics import Metrics

#: Returns why the check fails, `None` when it passes.
Check = Callable[[], str | None]


class Health:
    """The checks of a worker; it is ready when all of them pass."""

    def __init__(self, metrics: Metrics, *, is_dry_run: bool = False) -> None:
        self._metrics = metrics
        self.is_dry_run = is_dry_run
        self._checks: dict[str, Check] = {}
        self.is_draining = False

    def add(self, name: str, check: Check) -> None:
        """Add a check, or replace the one of that name."""
        self._checks[name] = check

    def failures(self) -> dict[str, str | None]:
        """Return every check and why it fails; `None` where it passes."""
        results = {name: check() for name, check in self._checks.items()}
        if self.is_draining:
            results["draining"] = "the worker is stopping"
        return results

    @property
    def is_ready(self) -> bool:
        """Tell whether the worker does its work."""
        ready = all(reason is None for reason in self.failures().values())
        self._metrics.ready.set(ready)
        return ready


class HealthServer:
    """Serves health and metrics over HTTP."""

    def __init__(self, health: Health, metrics: Metrics, host: str, port: int) -> None:
        self._health = health
        self._metrics = metrics
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Bind and serve; return the base URL.

        Raises:
            StreamAppError: the address cannot be bound.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._metrics_page),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StreamAppError(
                f"cannot serve metrics on {self._host}:{self._port}: {error.strerror or error}: "
                "set STREAM_APP_HTTP__HOST and STREAM_APP_HTTP__PORT"
            ) from None
        port = self._runner.addresses[0][1]
        return f"http://{self._host}:{port}"

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics_page(self, request: web.Request) -> web.Response:
        _ = self._health.is_ready  # brings the gauge up to date
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        status = 200 if self._health.is_ready else 503
        if "verbose" in request.query:
            body = orjson.dumps(
                {
                    "ready": status == 200,  # noqa: PLR2004 - HTTP
                    "dry_run": self._health.is_dry_run,
                    "checks": self._health.failures(),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            return web.Response(status=status, body=body, content_type="application/json")
        failed = [f"{name}: {why}" for name, why in self._health.failures().items() if why]
        return web.Response(status=status, text="\n".join(failed or ["ok"]) + "\n")

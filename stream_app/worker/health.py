"""A worker's health and metrics: `/livez`, `/readyz` and `/metrics` on one address.

`/livez` never asks Kafka: a broker outage must not restart every worker. `/readyz` is 503 while a
check fails or the worker is stopping; `?verbose` lists the checks as JSON. The probes of an
orchestrator have no token, so these two answer without it; the reasons, which name topics and
brokers, do not.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import orjson
from prometheus_client.exposition import choose_encoder

from stream_app.metrics import Metrics
from stream_app.worker.http_server import Answer, HttpServer, Request, problem
from stream_app.worker.tls_stream import TlsContexts
from stream_app.worker.token import Token

HOW_TO_SEND = "send the header `Authorization: Bearer …` with the value of STREAM_APP_HTTP__TOKEN"
NEEDS_TOKEN = problem(HTTPStatus.UNAUTHORIZED, f"the token is missing or wrong: {HOW_TO_SEND}")

#: Returns why the check fails, or None if it passes.
HealthCheck = Callable[[], str | None]


class Health:
    """A worker's checks: it is ready when all of them pass."""

    def __init__(self, metrics: Metrics, *, is_dry_run: bool = False) -> None:
        self._metrics = metrics
        self.is_dry_run = is_dry_run
        self._checks: dict[str, HealthCheck] = {}
        self.is_draining = False

    def set_check(self, name: str, check: HealthCheck) -> None:
        """Set the check of this name."""
        self._checks[name] = check

    def failures(self) -> dict[str, str | None]:
        """Return for each check why it fails, or None if it passes."""
        results = {name: check() for name, check in self._checks.items()}
        if self.is_draining:
            results["draining"] = "the worker is stopping"
        return results

    @property
    def is_ready(self) -> bool:
        """Tell whether all checks pass; the metric `ready` is set as well."""
        ready = all(reason is None for reason in self.failures().values())
        self._metrics.ready.set(ready)
        return ready


class HealthServer(HttpServer):
    """Serves health and metrics over HTTP."""

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        host: str,
        port: int,
        *,
        tls: TlsContexts | None = None,
        token: Token | None = None,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._token = token
        pages = {"/metrics": self._metrics_page, "/livez": self._livez, "/readyz": self._readyz}
        super().__init__(pages, host, port, tls)

    def _may_see(self, request: Request) -> bool:
        return self._token is None or self._token.allows(request.headers.get("authorization", ""))

    def _metrics_page(self, request: Request) -> Answer:
        if not self._may_see(request):
            return NEEDS_TOKEN
        _ = self._health.is_ready  # brings the gauge up to date
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (ValueError, TypeError, LookupError):
            content_type = ""
        if not (content_type.isascii() and content_type.isprintable() and content_type):
            return problem(HTTPStatus.BAD_REQUEST, "the header Accept cannot be read")
        return Answer(encode(self._metrics.registry), content_type=content_type)

    def _livez(self, _request: Request) -> Answer:
        return Answer(b"ok\n")

    def _readyz(self, request: Request) -> Answer:
        may_see = self._may_see(request)
        if "verbose" in request.options and not may_see:
            return NEEDS_TOKEN
        status = 200 if self._health.is_ready else 503
        if "verbose" in request.options:
            body = orjson.dumps(
                {
                    "ready": status == 200,  # noqa: PLR2004 - HTTP
                    "dry_run": self._health.is_dry_run,
                    "checks": self._health.failures(),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            return Answer(body, status, "application/json; charset=utf-8")
        failed = [f"{name}: {why}" for name, why in self._health.failures().items() if why]
        if failed and not may_see:
            failed = [f"not ready: the reasons need the token: {HOW_TO_SEND}"]
        return Answer(("\n".join(failed or ["ok"]) + "\n").encode(), status)

"""The service that the sandbox plays: its requests, which run through the same steps.

A request goes through `ServiceApi.steps` until one of them answers it. If none does, the request is
carried out. Each request is recorded, accepted or not.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from stream_app.opsgenie.endpoints import ALERTS_PATH
from stream_app.opsgenie.outcome import decode_object
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation, key_end
from stream_app.opsgenie.sandbox.heartbeats import basic_token
from stream_app.opsgenie.sandbox.limits import find_action_errors, find_errors
from stream_app.opsgenie.sandbox.state import AlertAction, IdentifierType, RequestView, SandboxState

if TYPE_CHECKING:
    from collections.abc import Collection

#: On each answer of the sandbox, so that nobody takes it for the service.
SANDBOX_HEADERS = {"X-Sandbox": "stream-app"}
KEY_SCHEME = "GenieKey "
OPSGENIE_KEY = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ALIAS_SHOWN = 512
#: What JSM lets an account do, by its e-mail and API token, and no integration's key.
ACCOUNT_OPERATIONS = (Operation.HEARTBEAT_PING, Operation.HEARTBEAT_READ)


@dataclass(slots=True)
class Exchange:
    """One request on its way through the steps, and what they have found out about it.

    `fault` is the fault that it meets. `change` replaces the answer that it gets once it has been
    carried out.
    """

    request: web.Request
    is_jsm: bool
    operation: Operation
    request_id: str
    started: float
    now_ms: int
    key: str = ""
    alias: str = ""
    fault: Fault | None = None
    change: Callable[[web.Response], web.Response] | None = None

    @property
    def is_discarded(self) -> bool:
        """Whether it is accepted, and then nothing is done."""
        return self.fault is not None and self.fault.kind is FaultKind.DISCARD

    def answer(
        self, status: int, fields: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """Return an answer with the fields and headers that each of the service's has."""
        took = round(time.perf_counter() - self.started, 3)
        return web.Response(
            status=status,
            body=orjson.dumps({**fields, "took": took, "requestId": self.request_id}),
            content_type="application/json",
            headers={"X-Request-ID": self.request_id, **(headers or {})},
        )

    def accept(self) -> web.Response:
        """Return the service's answer to a request that it will carry out later."""
        return self.answer(202, {"result": "Request will be processed"})


ExchangeStep = Callable[[Exchange], Awaitable[web.Response | None]]
LastStep = Callable[[Exchange], Awaitable[web.Response]]


class ServiceApi:
    """Answers as Opsgenie and JSM Operations do, and keeps alerts and requests in `state`."""

    def __init__(
        self,
        state: SandboxState,
        keys: Collection[str] | None,
    ) -> None:
        self._state = state
        self._keys = None if keys is None else frozenset(keys)
        self.steps: list[ExchangeStep] = [self._authenticate]
        self.last_steps: dict[Operation, LastStep] = {
            Operation.CREATE: self._create,
            Operation.CLOSE: self._act,
            Operation.NOTE: self._act,
            Operation.REQUEST_STATUS: self._status,
        }

    def routes(self, prefix: str, *, is_jsm: bool) -> list[web.RouteDef]:
        """Return the routes of alerts below a path prefix."""
        path = f"{prefix}{ALERTS_PATH}"
        run = partial(self.handler, is_jsm=is_jsm)
        return [
            web.post(path, run(Operation.CREATE)),
            web.post(f"{path}/{{alias}}/close", run(Operation.CLOSE)),
            web.post(f"{path}/{{alias}}/notes", run(Operation.NOTE)),
            web.get(f"{path}/requests/{{request_id}}", run(Operation.REQUEST_STATUS)),
        ]

    def handler(
        self, operation: Operation, *, is_jsm: bool
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return what answers the requests of an operation, of which `last_steps` has the last."""
        return partial(self._run, is_jsm, operation)

    async def _run(self, is_jsm: bool, operation: Operation, request: web.Request) -> web.Response:  # noqa: FBT001 - bound by `routes`
        exchange = Exchange(
            request=request,
            is_jsm=is_jsm,
            operation=operation,
            request_id=str(uuid.uuid4()),
            started=time.perf_counter(),
            now_ms=time.time_ns() // 1_000_000,
        )
        response: web.Response | None = None
        for step in self.steps:
            response = await step(exchange)
            if response is not None:
                break
        else:
            response = await self.last_steps[operation](exchange)
            if exchange.change is not None:
                response = exchange.change(response)
        self._record(exchange, response)
        return response

    def _record(self, exchange: Exchange, response: web.Response) -> None:
        seen = RequestView(
            received_at_ms=exchange.now_ms,
            method=exchange.request.method,
            path=exchange.request.path,
            status=response.status,
            alias=exchange.alias[:ALIAS_SHOWN],
            request_id=exchange.request_id,
            key_end=key_end(exchange.key),
            fault=exchange.fault.kind if exchange.fault else "",
        )
        self._state.add_request(seen)

    async def _authenticate(self, exchange: Exchange) -> web.Response | None:
        header = exchange.request.headers.get("Authorization", "")
        if exchange.is_jsm and exchange.operation in ACCOUNT_OPERATIONS:
            exchange.key = basic_token(header)
        elif header.startswith(KEY_SCHEME):
            exchange.key = header.removeprefix(KEY_SCHEME).strip()
        if not exchange.key or (self._keys is not None and exchange.key not in self._keys):
            return exchange.answer(401, {"message": "Could not authenticate"})
        # The format of a JSM key is not documented.
        is_checked = self._keys is None and not exchange.is_jsm
        if is_checked and not OPSGENIE_KEY.fullmatch(exchange.key):
            return exchange.answer(422, {"message": "Key format is not valid!"})
        return None

    async def _create(self, exchange: Exchange) -> web.Response:
        payload = await _payload(exchange)
        if isinstance(payload, web.Response):
            return payload
        exchange.alias = str(payload.get("alias") or "")
        errors = find_errors(payload)
        if errors:
            return _unprocessable(exchange, errors)
        if exchange.is_discarded:
            return self._discard(exchange, AlertAction.CREATE)
        alert = self._state.create(payload, exchange.request_id, exchange.now_ms)
        exchange.alias = alert.alias
        return exchange.accept()

    async def _act(self, exchange: Exchange) -> web.Response:
        """Add a note, or close an alert."""
        exchange.alias = exchange.request.match_info["alias"]
        action = AlertAction.NOTE if exchange.operation is Operation.NOTE else AlertAction.CLOSE
        needs_note, query = action is AlertAction.NOTE, exchange.request.query
        payload = await _payload(exchange, if_empty=b"" if needs_note else b"{}")
        if isinstance(payload, web.Response):
            return payload
        errors = find_action_errors(payload, query, needs_note=needs_note)
        if errors:
            return _unprocessable(exchange, errors)
        if exchange.is_discarded:
            return self._discard(exchange, action)
        by = IdentifierType(query.get("identifierType", IdentifierType.ID))
        note = str(payload.get("note") or "")
        self._state.act(
            action, exchange.alias, exchange.request_id, exchange.now_ms, note=note, by=by
        )
        return exchange.accept()

    def _discard(self, exchange: Exchange, action: AlertAction) -> web.Response:
        self._state.discard(action, exchange.alias, exchange.request_id, exchange.now_ms)
        return exchange.accept()

    async def _status(self, exchange: Exchange) -> web.Response:
        asked = exchange.request.match_info["request_id"]
        data = self._state.request_data(asked, exchange.now_ms)
        if data is not None:
            return exchange.answer(200, {"data": data})
        if self._state.is_known(asked):
            headers = {"X-Opsgenie-Errortype": "RequestNotProcessed"}
            return exchange.answer(404, {"message": "Request not processed yet"}, headers)
        return exchange.answer(404, {"message": "Request not found"})


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return an answer of the sandbox's own control."""
    return web.Response(
        status=status, body=orjson.dumps(value, default=str), content_type="application/json"
    )


async def _payload(
    exchange: Exchange, if_empty: bytes = b""
) -> Mapping[str, object] | web.Response:
    """Return the JSON object that a request has as its body, or the answer that refuses it."""
    try:
        body = await exchange.request.read() or if_empty
    except web.HTTPRequestEntityTooLarge:
        return exchange.answer(413, {"message": "Request body is too large"})
    if exchange.request.content_type != "application/json" and body != if_empty:
        return exchange.answer(415, {"message": "Content type must be application/json"})
    payload = decode_object(body)
    if payload is None:
        return exchange.answer(400, {"message": "Request body is not a JSON object"})
    return payload


def _unprocessable(exchange: Exchange, errors: Mapping[str, str]) -> web.Response:
    message = "Request body is not processable. Please check the errors."
    return exchange.answer(422, {"message": message, "errors": errors})

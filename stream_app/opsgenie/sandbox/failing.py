"""The step of the sandbox that lets requests fail as told, and the answers that misbehave.

A misbehaving answer does so when it is sent. By then its request is noted like all others, with
status 0 where no answer is given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from stream_app.opsgenie.endpoints import ALERTS_PATH, JSM_PATH
from stream_app.opsgenie.sandbox.active_faults import Faults
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.service import MARK, Exchange

NO_ANSWER = 0
#: How often a request that hangs looks whether its client is still there.
LOOK_SECONDS = 0.05
DRIP_SECONDS = 0.1
GARBAGE = b"\x00\xff\xfe this is not HTTP \x00\r\n\r\n"
#: A client that follows a redirect is seen here, in `/sandbox/requests`.
REDIRECTED_PATH = f"{ALERTS_PATH}/requests/redirected"
#: Periods of the service's limits: which of them broke.
SECOND, MINUTE = "1", "60"
BODIES: dict[int, dict[str, object]] = {
    401: {"message": "Could not authenticate"},
    402: {"message": "Your plan does not allow this action."},
    403: {
        "message": "To perform this action, use an API key from an API integration.",
        "code": 40301,
    },
    422: {
        "message": "Request body is not processable. Please check the errors.",
        "errors": {"message": "Message can not be empty."},
    },
    429: {"message": "You are making too many requests!"},
}

#: Sends something else over a request's connection.
Send = Callable[[asyncio.Transport], Any]


class FaultStep:
    """Lets a request fail when a fault of the list is for it; called by `ServiceApi`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(self, exchange: Exchange) -> web.Response | None:
        """Return the failing answer; None: there is no fault, or it comes after the work."""
        if not self._faults:
            return None
        fault = self._faults.take(exchange.operation, exchange.key, time.monotonic())
        if fault is None:
            return None
        exchange.fault = fault
        exchange.alias = await _alias(exchange)
        if fault.kind is FaultKind.LOST_ANSWER:
            exchange.change = lambda _: Misbehaving(NO_ANSWER, _reset)
        elif fault.kind is FaultKind.DRIP:
            exchange.change = partial(_dripping, fault.interval_seconds or DRIP_SECONDS)
        elif fault.kind is not FaultKind.DISCARD:
            return failing_answer(exchange, fault)
        return None


class Misbehaving(web.Response):
    """An answer that is not sent: something else happens to the connection.

    Args:
        status: what the request is noted with.
        send: gets the connection while it is there; what follows is its end.
    """

    def __init__(self, status: int, send: Send) -> None:
        super().__init__(status=status)
        self._send = send

    async def prepare(self, request: web.BaseRequest) -> None:
        """Misbehave. The error tells the server that nothing more can be sent here."""
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            waiting = self._send(transport)
            if waiting is not None:
                await waiting
            transport.close()
        raise ConnectionResetError


def failing_answer(exchange: Exchange, fault: Fault) -> web.Response:
    """Return the answer of a request that is not carried out."""
    if fault.kind in SENDS:
        return Misbehaving(NO_ANSWER, SENDS[fault.kind])
    if fault.kind is FaultKind.KEY_FORMAT:
        return exchange.answer(422, {"message": "Key format is not valid!"})
    if fault.kind is FaultKind.REDIRECT:
        location = f"{JSM_PATH if exchange.is_jsm else ''}{REDIRECTED_PATH}"
        return exchange.answer(fault.status or 302, {"message": "Moved"}, {"Location": location})
    if fault.kind is FaultKind.RATE_LIMIT:
        return exchange.answer(429, BODIES[429], _limit_headers(fault))
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    return exchange.answer(status, BODIES.get(status) or {"message": _phrase(status)})


def _limit_headers(fault: Fault) -> dict[str, str]:
    period = MINUTE if fault.per_second is None else SECOND
    headers = {
        "X-RateLimit-State": "THROTTLED",
        "X-RateLimit-Reason": "ACCOUNT",
        "X-RateLimit-Period-In-Sec": fault.period or period,
    }
    return headers if fault.retry_after is None else headers | {"Retry-After": fault.retry_after}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Failed on demand"


async def _alias(exchange: Exchange) -> str:
    """Return the alias that a request is about, if it says one."""
    if exchange.operation is Operation.CLOSE:
        return exchange.request.match_info["alias"]
    try:
        payload = msgspec.json.decode(await exchange.request.read() or b"null")
    except (web.HTTPRequestEntityTooLarge, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(payload.get("alias") or "") if isinstance(payload, dict) else ""


def _reset(transport: asyncio.Transport) -> None:
    transport.abort()


def _garbage(transport: asyncio.Transport) -> None:
    transport.write(GARBAGE)


async def _until_gone(transport: asyncio.Transport) -> None:
    while not transport.is_closing():  # noqa: ASYNC110 - the transport has no event for it
        await asyncio.sleep(LOOK_SECONDS)


def _dripping(interval_seconds: float, answer: web.Response) -> web.Response:
    return Misbehaving(answer.status, partial(_drip, interval_seconds, _raw(answer)))


async def _drip(interval_seconds: float, raw: bytes, transport: asyncio.Transport) -> None:
    for number in range(len(raw)):
        if transport.is_closing():
            return
        transport.write(raw[number : number + 1])
        await asyncio.sleep(interval_seconds)


def _raw(answer: web.Response) -> bytes:
    """Return an answer as the bytes of HTTP."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = {**answer.headers, **MARK, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


#: What is sent instead of an answer.
SENDS: dict[FaultKind, Send] = {
    FaultKind.HANG: _until_gone,
    FaultKind.RESET: _reset,
    FaultKind.GARBAGE: _garbage,
}

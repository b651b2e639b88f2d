"""The step of the sandbox that makes requests fail on demand, and the answers that misbehave.

An answer misbehaves when it is sent. Its request is recorded before that like all others, with
status 0 if it gets no answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from stream_app.opsgenie.endpoints import ALERTS_PATH, JSM_PATH
from stream_app.opsgenie.outcome import decode_object
from stream_app.opsgenie.sandbox.active_faults import Faults
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.service import SANDBOX_HEADERS, Exchange

NO_ANSWER = 0
#: How often a request that hangs checks whether its client is still connected.
POLL_SECONDS = 0.05
DRIP_SECONDS = 0.1
GARBAGE = b"\x00\xff\xfe this is not HTTP \x00\r\n\r\n"
#: A client that follows a redirect shows up in `/sandbox/requests` with this path.
REDIRECTED_PATH = f"{ALERTS_PATH}/requests/redirected"
#: Periods of the service's limits, in seconds, as a header says which limit was exceeded.
SECOND, MINUTE = "1", "60"
#: Status -> the body that the service documents for it.
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

#: Does something to a request's connection instead of answering.
Misbehave = Callable[[asyncio.Transport], Any]


class FaultStep:
    """Makes a request fail if one of the faults is for it; a step of `ServiceApi`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(self, exchange: Exchange) -> web.Response | None:
        """Return the failing answer; None: the request is carried out, and may fail afterwards."""
        if not self._faults:
            return None
        fault = self._faults.take(exchange.operation, exchange.key, time.monotonic())
        if fault is None:
            return None
        exchange.fault = fault
        exchange.alias = await _alias(exchange)
        if fault.kind is FaultKind.LOST_ANSWER:
            exchange.change = lambda _: MisbehavingAnswer(NO_ANSWER, _reset)
        elif fault.kind is FaultKind.DRIP:
            exchange.change = partial(_dripping, fault.interval_seconds or DRIP_SECONDS)
        elif fault.kind is not FaultKind.DISCARD:
            return failing_answer(exchange, fault)
        return None


class MisbehavingAnswer(web.Response):
    """An answer that is not sent: something else happens to the connection, which then ends.

    Args:
        status: the status that is recorded for the request.
        misbehave: gets the connection.
    """

    def __init__(self, status: int, misbehave: Misbehave) -> None:
        super().__init__(status=status)
        self._misbehave = misbehave

    async def prepare(self, request: web.BaseRequest) -> None:
        """Misbehave, and raise the error that tells the server that nothing can be sent here."""
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            waiting = self._misbehave(transport)
            if waiting is not None:
                await waiting
            transport.close()
        raise ConnectionResetError


def failing_answer(exchange: Exchange, fault: Fault) -> web.Response:
    """Return the answer to a request that is not carried out."""
    if fault.kind in MISBEHAVIOURS:
        return MisbehavingAnswer(NO_ANSWER, MISBEHAVIOURS[fault.kind])
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
    """Return the alias that a request names, if any."""
    if exchange.operation in (Operation.NOTE, Operation.CLOSE):
        return exchange.request.match_info["alias"]
    try:
        payload = decode_object(await exchange.request.read()) or {}
    except web.HTTPRequestEntityTooLarge:
        return ""
    return str(payload.get("alias") or "")


def _reset(transport: asyncio.Transport) -> None:
    transport.abort()


def _garbage(transport: asyncio.Transport) -> None:
    transport.write(GARBAGE)


async def _until_gone(transport: asyncio.Transport) -> None:
    while not transport.is_closing():  # noqa: ASYNC110 - the transport has no event for its end
        await asyncio.sleep(POLL_SECONDS)


def _dripping(interval_seconds: float, answer: web.Response) -> web.Response:
    return MisbehavingAnswer(answer.status, partial(_drip, interval_seconds, _raw(answer)))


async def _drip(interval_seconds: float, raw: bytes, transport: asyncio.Transport) -> None:
    for number in range(len(raw)):
        if transport.is_closing():
            return
        transport.write(raw[number : number + 1])
        await asyncio.sleep(interval_seconds)


def _raw(answer: web.Response) -> bytes:
    """Return an answer as HTTP sends it."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = {
        **answer.headers,
        **SANDBOX_HEADERS,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


#: The faults that give no answer -> what they do to the connection.
MISBEHAVIOURS: dict[FaultKind, Misbehave] = {
    FaultKind.HANG: _until_gone,
    FaultKind.RESET: _reset,
    FaultKind.GARBAGE: _garbage,
}

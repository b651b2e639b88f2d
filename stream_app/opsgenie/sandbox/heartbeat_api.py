"""Heartbeats at the sandbox: the services' requests, an alert at each expiry, and their control.

`/sandbox/heartbeats`: GET lists them, POST adds one (or one anew), and DELETE removes that of
`?name=`. Opsgenie takes an integration's key for a ping; JSM takes an account's e-mail and token.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from stream_app.domain.errors import InvalidObjectError
from stream_app.heartbeat_settings import JSM_OPS_PATH
from stream_app.opsgenie.sandbox.fault import Operation
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat, Heartbeats, parse_heartbeat
from stream_app.opsgenie.sandbox.service import json_answer

if TYPE_CHECKING:
    from stream_app.opsgenie.sandbox.service import Exchange, ServiceApi
    from stream_app.opsgenie.sandbox.state import SandboxState

HEARTBEATS_PATH = "/sandbox/heartbeats"
OPSGENIE_PATH = "/v2/heartbeats"
JSM_PATH = f"{JSM_OPS_PATH}/{{cloud_id}}/v1/teams/{{team_id}}/heartbeats"
PONG = "PONG - Heartbeat received"


class HeartbeatApi:
    """Plays the heartbeats of the services, and serves the routes of their control."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        api: ServiceApi,
        state: SandboxState,
    ) -> None:
        self._heartbeats = heartbeats
        self._api = api
        self._state = state
        self._changed = asyncio.Event()
        api.last_steps[Operation.HEARTBEAT_PING] = self._ping
        api.last_steps[Operation.HEARTBEAT_READ] = self._read

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both services and of the control."""
        ping = partial(self._api.handler, Operation.HEARTBEAT_PING)
        read = partial(self._api.handler, Operation.HEARTBEAT_READ)
        return [
            web.get(f"{OPSGENIE_PATH}/{{name}}/ping", ping(is_jsm=False)),
            web.get(f"{OPSGENIE_PATH}/{{name}}", read(is_jsm=False)),
            web.get(f"{JSM_PATH}/ping", ping(is_jsm=True)),
            web.get(JSM_PATH, read(is_jsm=True)),
            web.get(HEARTBEATS_PATH, self._list),
            web.post(HEARTBEATS_PATH, self._add),
            web.delete(HEARTBEATS_PATH, self._remove),
        ]

    def set(self, heartbeat: Heartbeat) -> None:
        """Add a heartbeat, or put it in the place of another one of its name."""
        self._heartbeats.set(heartbeat)
        self._changed.set()

    async def watch(self, _: web.Application) -> AsyncIterator[None]:
        """Let heartbeats expire while the application runs."""
        self._changed = asyncio.Event()
        watching = asyncio.create_task(self._watch())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            for heartbeat in self._heartbeats.expire(_now_ms()):
                self._state.create(heartbeat.alert(), str(uuid.uuid4()), _now_ms())
            next_ms = self._heartbeats.next_expiry_ms()
            wait_seconds = None if next_ms is None else max(0.0, (next_ms - _now_ms()) / 1000)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_seconds)

    async def _ping(self, exchange: Exchange) -> web.Response:
        name = exchange.alias = _name(exchange)
        if exchange.is_jsm and not name:
            return exchange.answer(400, {"message": "name is required"})
        if not exchange.is_discarded:
            self._heartbeats.ping(name, exchange.now_ms)
            self._changed.set()
        if exchange.is_jsm:
            return exchange.answer(202, {"message": PONG})
        return exchange.answer(202, {"result": PONG})

    async def _read(self, exchange: Exchange) -> web.Response:
        name = exchange.alias = _name(exchange)
        found = self._heartbeats.get(name)
        if not exchange.is_jsm:
            if found is None:
                return exchange.answer(404, {"message": f"Heartbeat {name} does not exist"})
            return exchange.answer(200, {"data": found.as_opsgenie()})
        team_id = exchange.request.match_info["team_id"]
        shown = self._heartbeats.all if "name" not in exchange.request.query else [found]
        values = [one.as_jsm(team_id) for one in shown if one is not None]
        return exchange.answer(200, {"values": values, "links": {}})

    async def _list(self, _: web.Request) -> web.Response:
        return json_answer([heartbeat.as_json() for heartbeat in self._heartbeats.all])

    async def _add(self, request: web.Request) -> web.Response:
        try:
            heartbeat = parse_heartbeat(orjson.loads(await request.read()))
        except orjson.JSONDecodeError:
            return json_answer({"message": "the body is not JSON"}, 422)
        except InvalidObjectError as error:
            return json_answer({"message": str(error)}, 422)
        self.set(heartbeat)
        return json_answer(heartbeat.as_json(), 201)

    async def _remove(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "")
        if not self._heartbeats.remove(name):
            return json_answer({"message": f"there is no heartbeat {name!r}"}, 404)
        return web.Response(status=204)


def _name(exchange: Exchange) -> str:
    request = exchange.request
    return request.query.get("name", "") if exchange.is_jsm else request.match_info["name"]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

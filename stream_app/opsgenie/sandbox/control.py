"""`/sandbox/faults`: turns faults of a running sandbox on and off.

GET lists the faults that are on, POST adds one, and DELETE ends all, or that of
`/sandbox/faults/ID`. All of them speak JSON, and show only the end of a key.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from stream_app.domain.errors import InvalidObjectError
from stream_app.opsgenie.sandbox.fault import parse_fault
from stream_app.opsgenie.sandbox.service import json_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream_app.opsgenie.sandbox.active_faults import Faults, FaultView

FAULTS_PATH = "/sandbox/faults"


class FaultControl:
    """Serves the routes on the faults of one sandbox."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(FAULTS_PATH, self._list),
            web.post(FAULTS_PATH, self._add),
            web.delete(FAULTS_PATH, self._clear),
            web.delete(f"{FAULTS_PATH}/{{fault_id:[0-9]{{1,9}}}}", self._clear_one),
        ]

    async def _list(self, _: web.Request) -> web.Response:
        return _views(self._faults.views(time.monotonic()))

    async def _add(self, request: web.Request) -> web.Response:
        try:
            fault = parse_fault(orjson.loads(await request.read()))
        except orjson.JSONDecodeError:
            return json_answer({"message": "the body is not JSON"}, 422)
        except InvalidObjectError as error:
            named = {"field": error.path, "value": error.value, "problem": error.problem}
            return json_answer({"message": str(error), **named}, 422)
        return json_answer(self._faults.turn_on(fault, time.monotonic()).as_json(), 201)

    async def _clear(self, _: web.Request) -> web.Response:
        return _views(self._faults.clear(time.monotonic()))

    async def _clear_one(self, request: web.Request) -> web.Response:
        fault_id = int(request.match_info["fault_id"])
        ended = self._faults.clear(time.monotonic(), fault_id)
        if not ended:
            return json_answer({"message": f"fault {fault_id} is not on (any more)"}, 404)
        return _views(ended)


def _views(found: Iterable[FaultView]) -> web.Response:
    return json_answer([view.as_json() for view in found])

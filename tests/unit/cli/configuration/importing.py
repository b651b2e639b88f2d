"""Applying files as `stream-app apply` does, without Kafka: the records stay in memory."""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from stream_app.cli.configuration.files import read_objects
from stream_app.cli.configuration.get import shown
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.plans.api_answers import wrap_answer
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Plan, PlanRules
from stream_app.domain.plans.planner import make_plan
from stream_app.key_ring import KeyRing
from stream_app.opsgenie.endpoints import resolve_endpoint
from tests.api_answers import CLIENT, TOKEN

PERIODS = (1, 60, 3600, 86400)
RULES = PlanRules(
    now_ms=1767225600000,
    allowed_periods=PERIODS,
    keeper=KeyRing([base64.urlsafe_b64encode(bytes(32)).decode()]),
    check_api=partial(resolve_endpoint, sandbox_url=None),
)


class Place:
    """Files, read as `apply` reads them, and the records that they become."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: Stored = {kind: {} for kind in Kind}

    def read(self, *documents: object, client: int | None = 1111) -> list[FileObject]:
        paths = []
        for number, document in enumerate(documents):
            paths.append(str(self.folder / f"{number}.json"))
            Path(paths[-1]).write_text(json.dumps(document))
        return read_objects(paths, client)

    def plan(self, *documents: object, client: int | None = 1111, prune: bool = False) -> Plan:
        return self.plan_of(self.read(*documents, client=client), prune=prune)

    def plan_of(self, objects: list[FileObject], *, prune: bool = False) -> Plan:
        return make_plan(objects, self.stored, RULES, prune=prune)

    def apply(self, *documents: object, client: int | None = 1111) -> Plan:
        plan = self.plan(*documents, client=client)
        assert plan.problems == ()
        for change in plan.changes:
            assert change.record is not None
            assert TOKEN not in json.dumps(change.record)
            self.stored[change.kind][change.id] = json.loads(json.dumps(change.record))
        return plan

    def get(self, kind: Kind, *, is_one: bool = False) -> dict[str, Any]:
        """Return what `get -o api` prints."""
        rows = [shown(kind, obj) for obj in self.stored[kind].values()]
        return wrap_answer(kind, rows, is_one=is_one)

    def problems(self, *documents: object, client: int | None = 1111) -> list[str]:
        found = self.plan(CLIENT, *documents, client=client).problems
        return [re.sub(r".*?\.json:\d+: ", "", text) for text in found]

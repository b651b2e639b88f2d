"""A client of a test's own: what it configures, what happens to it, and what it is told."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from stream_app.domain.configuration.integrations import EVENTS
from stream_app.opsgenie.endpoints import ALERTS_PATH
from tests.page.system import Json, System, eventually
from tests.unit.domain.documented_notices import NOTICES

#: Any alert too many has come by then.
SETTLE_SECONDS = 0.3
#: A time in the past for all tests of a session, so that no event comes late or early.
NOW = int(time.time()) - 600


class Tenant:
    """A client and its integrations, which are numbered from 1 and told apart by their keys."""

    def __init__(self, system: System, **changes: Any) -> None:
        self.system = system
        self.id = system.tenant()
        self.client: Json = {"client_id": self.id, "name": f"Company {self.id}", "cloud": "EU"}
        self.client |= changes

    def integration_id(self, place: int) -> int:
        """Return the id of an integration: four digits, as many as are shown of a key."""
        return self.id * 10 + place

    def key(self, place: int = 1) -> str:
        """Return the key of an integration, which ends in its id."""
        return f"00000000-1111-2222-3333-44444444{self.integration_id(place)}"

    def integration(self, place: int = 1, *events: str, **changes: Any) -> Json:
        """Return an integration that has selected these events."""
        return {
            "id": self.integration_id(place),
            "client_id": self.id,
            "name": f"On-call {place}",
            "active": True,
            "type": "opsgenie",
            "target": {"token": self.key(place), "api": self.system.url},
            "events": [{"event": event, "active": True} for event in events],
        } | changes

    def trigger(
        self,
        template_id: str,
        *filters: tuple[str, str, list[Any]],
        exceeds: tuple[int, int] | None = None,
        place: int = 1,
        to: tuple[int, ...] = (1,),
        **changes: Any,
    ) -> Json:
        """Return a trigger; `exceeds` is (count, seconds), `to` the integrations it notifies."""
        ids = [self.integration_id(number) for number in to]
        found = {
            "id": self.id * 10 + place,
            "client_id": self.id,
            "name": f"Trigger {place}",
            "enabled": True,
            "template_id": template_id,
            "filters": [{"id": i, "operator": o, "values": v} for i, o, v in filters],
            "actions": [{"id": "send_notification", "params": {"integration_ids": ids}}],
        }
        if exceeds is not None:
            found["threshold"] = {"count": exceeds[0], "period": exceeds[1]}
        return found | changes

    def apply(self, *objects: Json) -> str:
        """Apply the client and the objects; return the command's output."""
        said = self.system.apply(self.client, *objects)
        assert "44444444" not in said, "a key is shown"
        return said

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `stream-app`."""
        return self.system.run(*args, code=code)

    def listed(self, place: int = 1) -> Json | None:
        """Return the row of an integration in `integrations list`, None when it is not there."""
        lines = self.run("integrations", "list", "--json").stdout.splitlines()
        rows = map(json.loads, lines)
        return next((row for row in rows if row["id"] == self.integration_id(place)), None)

    def send(self, kind: str, *events: Mapping[str, Any]) -> None:
        """Write attacks, hits or incidents; those without a time happen at `NOW`."""
        time_name = "request_time" if kind == "hits" else "first_time"
        rows = [{"client_id": self.id, time_name: NOW, **event} for event in events]
        self.system.put(f"events.{kind}", self.id, rows)

    def notify(self, *notices: Mapping[str, Any]) -> None:
        """Write notices as the security cloud does, in its envelope."""
        rows = [{**notice, "client_id": self.id} for notice in notices]
        self.system.put("events.account", self.id, rows)

    def told(self, number: int, place: int = 1) -> list[Json]:
        """Wait until an integration has got so many alerts, and no more; return them in order."""
        eventually(lambda: len(self._accepted(place)) >= number)
        time.sleep(SETTLE_SECONDS)
        accepted, alerts = self._accepted(place), self.system.alerts()
        found = [alerts[row["alias"]] for row in accepted]
        assert len(found) == number, [alert["message"] for alert in found]
        return found

    def requests(self, place: int = 1) -> list[Json]:
        """Return the requests to an integration, oldest first."""
        return self.system.requests(str(self.integration_id(place)))

    def fail(self, place: int = 1, **fault: Any) -> None:
        """Let requests to an integration fail."""
        self.system.fail(str(self.integration_id(place)), **fault)

    def _accepted(self, place: int) -> list[Json]:
        rows = [row for row in self.requests(place) if row["path"].endswith(ALERTS_PATH)]
        return [row for row in rows if 200 <= row["status"] < 300]


def told_of(tenant: Tenant, event: str, *notices: Mapping[str, Any]) -> list[Json]:
    """Return what an integration that has selected only this event is told.

    Check that an integration that has selected all other events is told nothing.
    """
    others = [name for name in EVENTS if name != event]
    tenant.apply(tenant.integration(1, event), tenant.integration(2, *others))
    tenant.notify(*notices)
    found = tenant.told(len(notices))
    assert tenant.told(0, place=2) == []
    return found


def documented(kind: str, **details: Any) -> Json:
    """Return a documented notice, with some of its details changed."""
    notice = NOTICES[kind]
    return {**notice, "details": notice["details"] | details}


def messages(alerts: list[Json]) -> list[str]:
    """Return the messages of alerts, in alphabetical order."""
    return sorted(alert["message"] for alert in alerts)


def text(alert: Json) -> str:
    """Return an alert as one text, as the page shows it."""
    return f"{alert['message']}\n\n{alert['description']}"

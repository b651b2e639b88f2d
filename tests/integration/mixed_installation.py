"""A large installation made of one seed: 200 clients, 1,000 triggers, 500 integrations, events.

All of it is plain objects and bytes, as people and producers write them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from cryptography.fernet import Fernet

from stream_app.domain.configuration.integrations import key_context
from stream_app.key_ring import KeyRing
from stream_app.settings import Settings

START = 1_767_225_600
CLIENTS, TRIGGERS, INTEGRATIONS = 200, 1000, 500
RECORDS, NOTICES = 3000, 300
KINDS = ("attacks", "hits", "incidents")
FILTERS: dict[str, list[Any]] = {
    "attack_type": ["sqli", "XSS", "rce", "ptrav"],
    "pool": [-1, 7, 8],
    "ip_address": ["203.0.113.10", "198.51.100.7", "2001:DB8::1", "2001:db8:0:0:0:0:0:2"],
    "domain": ["shop.acme.example", "API.acme.example"],
    "response_status": [200, 404, 503, "2xx", "4xx", "5xx"],
    "target": ["server", "client", "database"],
}
EVENTS = (
    "system",
    "rules_and_triggers",
    *(f"security_issue_{risk}" for risk in ("critical", "high", "medium", "low", "info")),
)
KEY_START = "00000000-1111-2222-3333-"


class MixedInstallation:
    """What is configured, what is sent, and what the oracle must know."""

    def __init__(self, seed: int, url: str) -> None:
        self.chance = random.Random(seed)
        self.url = url
        self.secret_key = Fernet.generate_key().decode()
        self.clients = {n: self._client(n) for n in range(1, CLIENTS + 1)}
        self.integrations = {n: self._integration(n) for n in range(1, INTEGRATIONS + 1)}
        #: Written and then deleted again.
        self.deleted = {n: self._integration(n) for n in range(9001, 9021)}
        active = [n for n, one in self.integrations.items() if one["active"]]
        #: Disabled by the system. None has selected events, so only `route` deals with them.
        self.disabled = set(self.chance.sample(active, 10))
        for number in self.disabled:
            self.integrations[number]["events"] = []
        self.triggers = {n: self._trigger(n) for n in range(1, TRIGGERS + 1)}

    def statuses(self) -> list[dict[str, Any]]:
        return [
            {
                "integration_id": number,
                "client_id": self.integrations[number]["client_id"],
                "disabled": True,
                "reason": "failed_share",
                "epoch": 0,
                "failed": 18,
                "total": 27,
                "window_hours": 12,
                "since_ms": START * 1000,
            }
            for number in sorted(self.disabled)
        ]

    def sealed(self, one: dict[str, Any], settings: Settings) -> dict[str, Any]:
        """Return an integration as in its record, with a sealed key."""
        ring = KeyRing.from_settings(settings)
        key = f"{KEY_START}{one['id']:012}"
        token = ring.seal(key, key_context(one["client_id"], one["id"], self.url))
        return one | {"target": {"api": f"{self.url}/v2/alerts", "token": token}}

    def records(self) -> Iterator[tuple[str, bytes | None, bytes, int]]:
        """Yield (kind, key, value, partition in 256ths): single events, arrays, lines, poison."""
        for _ in range(RECORDS):
            kind = self.chance.choice(KINDS)
            key = self.chance.choice([None, self.chance.randbytes(6), b"same"])
            yield kind, key, self._value(kind), self.chance.randrange(256)

    def notices(self) -> list[dict[str, Any]]:
        """Return notices, each with an id of its own."""
        return [self._notice(number) for number in range(NOTICES)]

    def _client(self, number: int) -> dict[str, Any]:
        applications = {"7": f"Shop of {number}", "-1": "default"}
        cloud = self.chance.choice(["EU", "US"])
        name = f"Client {number}"
        return {"client_id": number, "name": name, "cloud": cloud, "applications": applications}

    def _integration(self, number: int) -> dict[str, Any]:
        selected = self.chance.sample(EVENTS, self.chance.randrange(3))
        return {
            "id": number,
            "client_id": number % CLIENTS + 1,
            "name": f"On-call {number}",
            "type": "opsgenie",
            "active": self.chance.random() < 0.85,
            "events": [{"event": e, "active": self.chance.random() < 0.8} for e in selected],
        }

    def _trigger(self, number: int) -> dict[str, Any]:
        kind, client = KINDS[number % 3], number % CLIENTS + 1
        names = [name for name in FILTERS if name != "target" or kind != "hits"]
        own = [n for n, one in self.integrations.items() if one["client_id"] == client]
        strange = [[*self.deleted], [*self.integrations], [77_777]]
        named = [*own[: self.chance.randrange(3)], self.chance.choice(own)]
        if self.chance.random() < 0.3:  # deleted, of another client, unknown: past all checks
            named.append(self.chance.choice(self.chance.choice(strange)))
        return {
            "id": number,
            "client_id": client,
            "name": f"Trigger {number}",
            "enabled": self.chance.random() < 0.95,
            "template_id": f"{kind}_exceeded",
            "filters": [self._clause(n) for n in self.chance.sample(names, number % 4 % 3)],
            "threshold": {
                "count": self.chance.choice([0, 3, 10, 25]),
                "period": self.chance.choice([1, 60, 3600, 86400]),
            },
            "actions": [{"id": "send_notification", "params": {"integration_ids": named}}],
            "enabled_at": 1,
        }

    def _clause(self, name: str) -> dict[str, Any]:
        values = self.chance.sample(FILTERS[name], 1 + self.chance.randrange(2))
        return {"id": name, "operator": self.chance.choice(["eq", "ne"]), "values": values}

    def _value(self, kind: str) -> bytes:
        form = self.chance.random()
        if form < 0.02:
            return self.chance.choice([b"{", b"\xff", b"[1]", b'{"client_id":"x"}', b'{"a":1}'])
        if form < 0.5:
            return json.dumps(self._event(kind)).encode()
        several = [self._event(kind) for _ in range(self.chance.randrange(2, 8))]
        if form < 0.75:
            return json.dumps(several).encode()
        return "\n".join(map(json.dumps, several)).encode()

    def _event(self, kind: str) -> dict[str, Any]:
        chance = self.chance
        late = chance.choice([0] * 20 + [30, 5000, 100_000])
        found: dict[str, Any] = {
            "client_id": chance.randrange(1, CLIENTS + 1) if chance.random() > 0.01 else 999,
            "type": chance.choice(["sqli", "SQLi", "xss", "rce", "ptrav", None]),
            "host": chance.choice(["shop.acme.example", "api.ACME.example", None]),
            "poolid": chance.choice([-1, 7, 8, None]),
            "target": chance.choice([None, None, "server", "database"]),
            "experimental": chance.random() < 0.05,
            "state": chance.choice([None] * 20 + ["falsepositive"]),
        }
        time = START + 200_000 + chance.randrange(600) - late
        ipv4 = chance.choice(["203.0.113.10", "198.51.100.7", "198.51.100.8"])
        ipv6 = chance.choice(["2001:db8::1", "2001:0DB8:0::2", "2001:db8::9"])
        status = chance.choice([200, 404, 499, 503, 599])
        if kind == "hits":
            addresses = chance.choice([(ipv4, None), (None, ipv6)])
            return found | {
                "remote_addr4": addresses[0],
                "remote_addr6": addresses[1],
                "response_status": status,
                "request_time": time,
                "sampled": chance.random() > 0.05,
            }
        return found | {
            "remote_addrs": chance.choice([[ipv4], [ipv4, ipv6], None]),
            "response_statuses": chance.choice([[status], [status, 200], None]),
            "first_time": time,
        }

    def _notice(self, number: int) -> dict[str, Any]:
        kind = self.chance.choice(
            ["create_user", "update_application", "rule_update", "trigger_delete", "new_kind"]
            + ["security_issue"] * 4
        )
        details: dict[str, Any] = {"notification_type": kind}
        if kind == "security_issue":
            risk = self.chance.choice(["Critical", "High", "Medium", "Low", "Info"])
            details["security_issue"] = {"id": number, "title": "A flaw", "risk": risk}
        client = self.chance.randrange(1, CLIENTS + 1)
        named = self.chance.random() < 0.5
        whose = {} if named else {"client_id": client}
        details |= {"client_name": f"Client {client}"} if named else {}
        return {"id": f"n/{number}", "summary": f"Notice {number}", "details": details} | whose

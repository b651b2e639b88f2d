"""Makes up attacks, hits and incidents in their documented shapes, to try the processor with.

Each hit belongs to an earlier attack. Most events are noise; now and then a burst makes triggers
fire. Addresses come from the ranges for documentation, and hosts end in `.example`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from stream_app.domain.events.model import EventKind

SampleEvent = dict[str, Any]
Sample = tuple[EventKind, str, SampleEvent]

DEFAULT_CLIENTS = (1111,)
#: A burst begins with the 50th of each 300 events, so the first one comes soon.
BURST_EVERY, BURST_AT = 300, 50
ATTACK_SHARE, INCIDENT_SHARE = 0.08, 0.003
EXPERIMENTAL_SHARE, UNSAMPLED_SHARE, FALSE_POSITIVE_SHARE = 0.04, 0.10, 0.02
OPEN_ATTACKS = 8
NETWORKS = ("203.0.113", "198.51.100", "192.0.2")
COUNTRIES = ("BR", "DE", "JP", "NL", "PL", "US", None)
#: The hash of an empty list, as in the documented hit.
NOTHING_MATCHED = -2147483648


@dataclass(frozen=True)
class Site:
    """A protected application; `pool` is its id, -1 the default one's."""

    pool: int
    application: str
    host: str


SITES = (
    Site(-1, "default", "www.testcompany.example"),
    Site(7, "Shop", "shop.testcompany.example"),
    Site(8, "API", "api.testcompany.example"),
)


@dataclass(frozen=True)
class Recipe:
    """One kind of attack. Behavioral attacks have no payloads."""

    type: str
    target: str
    method: str
    path: str
    point: tuple[str, ...]
    payloads: tuple[str, ...]
    statuses: tuple[int, ...]

    @property
    def parameter(self) -> str:
        """Return the point as one name, as `GET_id_value`."""
        parts = (self.point[0].upper(), *self.point[1:], "value")
        return "_".join(parts)


SQLI = Recipe(
    "sqli",
    "database",
    "GET",
    "/catalog",
    ("get", "id"),
    ("1' union select 1,2--", "1' or '1'='1", "1;select pg_sleep(5)--"),
    (200, 403, 404, 500),
)
PTRAV = Recipe(
    "ptrav",
    "server",
    "GET",
    "/download",
    ("get", "file"),
    ("../../../../etc/passwd", "..%2f..%2fetc%2fshadow"),
    (200, 403, 404),
)
RCE = Recipe(
    "rce", "server", "POST", "/report", ("post", "name"), (";cat /etc/passwd", "$(id)"), (403, 502)
)
RECIPES = (
    SQLI,
    PTRAV,
    RCE,
    Recipe(
        "nosqli", "database", "POST", "/login", ("post", "user"), ('{"$ne": null}',), (200, 401)
    ),
    Recipe(
        "xss", "client", "GET", "/search", ("get", "q"), ("<script>alert(1)</script>",), (200, 403)
    ),
    Recipe("redir", "client", "GET", "/go", ("get", "to"), ("//evil.example",), (302, 403)),
    Recipe("ssrf", "server", "POST", "/hook", ("post", "url"), ("http://127.0.0.1/",), (400, 403)),
    Recipe("scanner", "server", "GET", "/.env", ("uri",), ("/.env",), (403, 404)),
    Recipe("brute", "server", "POST", "/login", ("uri",), (), (401, 403, 429)),
)
EXPLOITS = (SQLI, PTRAV, RCE)


class SampleEvents:
    """An endless series of events. The same seed gives the same events, except for their times.

    Args:
        seed: decides everything but the times; None: another one each time.
        client_ids: the accounts that the events belong to.
    """

    def __init__(self, seed: int | None, client_ids: Sequence[int] = DEFAULT_CLIENTS) -> None:
        self._random = Random(seed)  # noqa: S311 - made-up events need no cryptographic randomness
        self._client_ids = client_ids
        self._made = 0
        self._open: deque[tuple[Recipe, SampleEvent]] = deque(maxlen=OPEN_ATTACKS)
        self._burst: deque[tuple[EventKind, SampleEvent]] = deque()
        self._bursts: deque[Callable[[int], None]] = deque(
            [self._incident_burst, self._hit_burst, self._attack_burst]
        )

    def next(self, now_seconds: int) -> Sample:
        """Return the next event as (kind, random key, event). It happens at `now_seconds`.

        All events of a burst happen in the second in which it began, however slowly they are taken.
        """
        if self._made % BURST_EVERY == BURST_AT:
            self._bursts[0](now_seconds)
            self._bursts.rotate(-1)
        self._made += 1
        kind, event = self._burst.popleft() if self._burst else self._noise(now_seconds)
        return kind, self._hex(16), event

    def _noise(self, now_seconds: int) -> tuple[EventKind, SampleEvent]:
        share = self._random.random()
        if share < INCIDENT_SHARE:
            recipe = self._random.choice(EXPLOITS)
            return EventKind.INCIDENTS, self._marked(self._incident(recipe, now_seconds))
        if share < INCIDENT_SHARE + ATTACK_SHARE or not self._open:
            recipe = self._random.choice(RECIPES)
            event = self._marked(self._attack(recipe, now_seconds))
            self._open.append((recipe, event))
            return EventKind.ATTACKS, event
        recipe, attack = self._random.choice(self._open)
        hit = self._hit(recipe, attack, now_seconds)
        hit["sampled"] = self._random.random() >= UNSAMPLED_SHARE
        if self._random.random() < FALSE_POSITIVE_SHARE:
            hit["state"] = "falsepositive"
        return EventKind.HITS, hit

    def _marked(self, event: SampleEvent) -> SampleEvent:
        """Make some attacks and incidents experimental or false positives, which do not count."""
        event["experimental"] = self._random.random() < EXPERIMENTAL_SHARE
        if self._random.random() < FALSE_POSITIVE_SHARE:
            event["state"] = "falsepositive"
        return event

    def _incident_burst(self, now_seconds: int) -> None:
        """Two or three incidents in one second: the documented example of a trigger."""
        recipe = self._random.choice(EXPLOITS)
        client_id = self._random.choice(self._client_ids)
        for _ in range(self._random.randint(2, 3)):
            self._burst.append(
                (EventKind.INCIDENTS, self._incident(recipe, now_seconds, client_id))
            )

    def _hit_burst(self, now_seconds: int) -> None:
        """One tool that tries its SQL injections."""
        attack = self._attack(SQLI, now_seconds)
        self._burst.append((EventKind.ATTACKS, attack))
        for _ in range(self._random.randint(15, 25)):
            self._burst.append((EventKind.HITS, self._hit(SQLI, attack, now_seconds)))

    def _attack_burst(self, now_seconds: int) -> None:
        """Attacks in many places that the application answers with server errors."""
        client_id = self._random.choice(self._client_ids)
        for _ in range(self._random.randint(6, 9)):
            attack = self._attack(self._random.choice(RECIPES), now_seconds, client_id)
            attack["response_statuses"] = [self._random.choice((500, 502, 504))]
            self._burst.append((EventKind.ATTACKS, attack))

    def _attack(
        self, recipe: Recipe, now_seconds: int, client_id: int | None = None
    ) -> SampleEvent:
        client = self._random.choice(self._client_ids) if client_id is None else client_id
        site = self._random.choice(SITES)
        return {
            "object_type": "attack",
            "client_id": client,
            "id": self._id("attacks", client, now_seconds),
            "type": recipe.type,
            "host": site.host,
            "path": recipe.path,
            "parameter": recipe.parameter,
            "target": recipe.target,
            "poolid": site.pool,
            "remote_addrs": [self._address()],
            "response_statuses": [self._random.choice(recipe.statuses)],
            "block_status": "monitored",
            "first_time": now_seconds,
            "last_time": now_seconds,
            "hits_count": 1,
            "experimental": False,
            "state": None,
            "vulnid": None,
        }

    def _incident(
        self, recipe: Recipe, now_seconds: int, client_id: int | None = None
    ) -> SampleEvent:
        return self._attack(recipe, now_seconds, client_id) | {
            "object_type": "incident",
            "response_statuses": [200],
            "vulnid": self._random.randint(100_000, 199_999),
        }

    def _hit(self, recipe: Recipe, attack: SampleEvent, now_seconds: int) -> SampleEvent:
        client: int = attack["client_id"]
        distance = round(self._random.uniform(5, 30), 2) if recipe.payloads else 0
        application = next(site.application for site in SITES if site.pool == attack["poolid"])
        return {
            "object_type": "hit",
            "client_id": client,
            "id": self._id("hits", client, now_seconds),
            "attackid": attack["id"],
            "type": recipe.type,
            "host": attack["host"],
            "method": recipe.method,
            "path": recipe.path,
            "payloads": [self._random.choice(recipe.payloads)] if recipe.payloads else [],
            "point": list(recipe.point),
            "parameter": recipe.parameter,
            "target": recipe.target,
            "poolid": attack["poolid"],
            "applications": [application],
            "heur_distance": distance,
            "probability": distance,
            "anomaly": round(self._random.uniform(0, 3), 2),
            "remote_country": self._random.choice(COUNTRIES),
            "remote_port": self._random.randint(1024, 65535),
            "remote_addr4": attack["remote_addrs"][0],
            "remote_addr6": None,
            "datacenter": self._random.choice(("unknown", "unknown", "aws")),
            "tor": "none",
            "proxy_type": None,
            "request_time": now_seconds,
            "create_time": now_seconds,
            "response_len": self._random.randint(150, 9000),
            "response_status": attack["response_statuses"][0],
            "response_time": self._random.randint(2, 900),
            "stamps": [self._random.randint(1000, 9999)],
            "regex": [],
            "stamps_hash": self._random.randint(-(2**31) + 1, 2**31 - 1),
            "regex_hash": NOTHING_MATCHED,
            "block_status": attack["block_status"],
            "brute_counter": f"b:{client}:{self._hex(16)}",
            "final_wallarm_mode": "monitoring",
            "wallarm_mode": None,
            "libproton_version": "5.0.1",
            "lom_id": 932,
            "protocol": "rest",
            "request_id": self._hex(32),
            "experimental": attack["experimental"],
            "sampled": True,
            "state": None,
        }

    def _id(self, index: str, client_id: int, now_seconds: int) -> list[str]:
        month = datetime.fromtimestamp(now_seconds, UTC).strftime("%Y%m")
        return [f"{index}_production_{client_id}_{month}_v_1", self._hex(16)]

    def _address(self) -> str:
        return f"{self._random.choice(NETWORKS)}.{self._random.randint(1, 254)}"

    def _hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

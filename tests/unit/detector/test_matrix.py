"""Every condition, filter and operator: from the bytes of records to alerts, against the oracle.

The records of some partitions are decoded, matched, counted and evaluated by the code that the
workers run; the oracle reads the same bytes by itself. Each example has a trigger for each cell
of the matrix (condition x filter x operator) and some with several filters.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_app.detector.evaluate import EvaluateStage
from stream_app.domain.catalog.conditions import CONDITIONS
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partial_counts import PartialCountsWriter
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.partition_windows import PartitionWindows
from stream_app.domain.counting.tally import Tally
from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.metrics import Metrics
from tests import oracle, oracle_alerts
from tests.unit.domain.objects import parse_client, parse_trigger
from tests.unit.stages import take

BASE = 1_767_225_600
#: Append time of all records; an event may be five minutes ahead of it.
APPENDED = BASE + 300_000
PERIODS = (1, 60, 3600, 86400)
PARTITIONS = 3
CLIENTS = {
    number: {
        "client_id": number,
        "name": f"Client {number}",
        "cloud": "EU",
        "applications": {"7": "Shop"},
    }
    for number in (1, 2, 3)
}
#: The documented filters of each condition.
SHARED = ("attack_type", "pool", "ip_address", "domain", "response_status")
FILTERS = {"attacks": (*SHARED, "target"), "hits": SHARED, "incidents": (*SHARED, "target")}
OPERATORS = ("eq", "ne")
WANTED: dict[str, list[Any]] = {
    "attack_type": ["sqli", "XSS", "rce", "nosqli"],
    "pool": [-1, 7, 8],
    "ip_address": ["203.0.113.10", "198.51.100.7", "2001:DB8::1", "2001:db8:0:0:0:0:0:2"],
    "domain": ["shop.acme.example", "API.acme.example"],
    "response_status": [200, 404, 503, "2xx", "4xx", "5XX"],
    "target": ["server", "Client", "database"],
}
TYPES = [None, "", "sqli", "SQLi", "nosqli", "xss", "redir", "crlf", "csrf", "rce", "Enum", "new"]
HOSTS = [None, "", "shop.acme.example", "SHOP.acme.example", "api.acme.example", "b.example"]
IPV4 = [None, "", "203.0.113.10", "198.51.100.7", "198.51.100.8", "no address"]
IPV6 = [None, "", "2001:db8::1", "2001:0DB8:0::0001", "2001:db8::2", "2001:db8::3", "::1%eth0"]
STATUSES = [0, 100, 200, 299, 404, 499, 500, 503, 599, 600]
OFFSETS = [0, 1, 59, 60, 61, 3599, 3600, 3601, 7260, 86399, 86400, 172_799, 172_800, 299_999]


def some(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


TIMES = [None, *(BASE + n for n in OFFSETS), BASE + 61.5, APPENDED + 301]


def event(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return events, each made of one number: a few hundred of them are quick to draw."""
    return st.integers(0, 2**32).map(lambda seed: made_event(kind, random.Random(seed)))


def made_event(kind: str, chance: random.Random) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": chance.choice(TYPES),
        "host": chance.choice(HOSTS),
        "poolid": chance.choice([None, -1, 7, 8]),
        "target": chance.choice([None, "", "server", "Client", "database"]),
        "create_time": chance.choice(TIMES),
        "experimental": chance.choice([None, *[False] * 6, True]),
        "state": chance.choice([*[None] * 6, "falsepositive", "other"]),
        "sampled": chance.choice([None, *[True] * 6, False]),
        "unknown": chance.choice([None, 1, {"a": [1]}]),
    }
    if kind == "hits":
        fields |= {
            "remote_addr4": chance.choice(IPV4),
            "remote_addr6": chance.choice(IPV6),
            "response_status": chance.choice([None, *STATUSES]),
            "request_time": chance.choice(TIMES),
        }
    else:
        addresses = chance.choices([*IPV4[1:], *IPV6[1:]], k=chance.randrange(4))
        statuses = chance.choices(STATUSES, k=chance.randrange(4))
        fields |= {
            "remote_addrs": chance.choice([None, addresses]),
            "response_statuses": chance.choice([None, statuses]),
            "first_time": chance.choice(TIMES),
        }
    kept = {name: found for name, found in fields.items() if chance.random() < 0.8}
    return {"client_id": chance.choice([1, 1, 1, 2, 2, 3]), **kept}


POISON = [b"", b"{", b"\xff", b"[1]", b"null", b'{"client_id":"1"}', b'{"client_id":9}', b"{}"]


def value(kind: str) -> st.SearchStrategy[bytes]:
    """Return record values: an event, an array, lines, or what cannot be used."""
    one = event(kind)
    return st.one_of(
        one.map(lambda found: json.dumps(found).encode()),
        one.map(lambda found: json.dumps(found).encode()),
        st.lists(one, max_size=6).map(lambda found: json.dumps(found).encode()),
        st.lists(one, min_size=2, max_size=6).map(
            lambda found: "\n".join(map(json.dumps, found)).encode()
        ),
        some(POISON),
    )


def clause(name: str, operator: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(some(WANTED[name]), min_size=1, max_size=3).map(
        lambda values: {"id": name, "operator": operator, "values": values}
    )


@st.composite
def triggers_of(draw: st.DrawFn, kind: str, first_id: int) -> list[dict[str, Any]]:
    """Return a trigger for each cell of the condition, and a few with any filters."""
    filters = [[draw(clause(name, o))] for name in FILTERS[kind] for o in OPERATORS]
    for _ in range(4):
        cells = draw(st.lists(st.tuples(some(list(FILTERS[kind])), some(["eq", "ne"])), max_size=3))
        filters.append([draw(clause(*cell)) for cell in cells])
    filters.append([{"id": "pool", "operator": "ne", "values": []}])
    return [
        {
            "id": first_id + place,
            "client_id": draw(some([1, 1, 1, 2])),
            "name": f"trigger {place}",
            "enabled": place % 17 != 16 or draw(st.booleans()),
            "template_id": f"{kind}_exceeded",
            "filters": found,
            "threshold": {"count": draw(some([0, 0, 1, 2, 5])), "period": draw(some([*PERIODS]))},
            "actions": [{"id": "send_notification", "params": {"integration_ids": [5, 6, 5]}}],
        }
        for place, found in enumerate(filters)
    ]


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int = APPENDED * 1000
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Case:
    """Triggers of all conditions, and by kind the records of each partition in polls."""

    triggers: list[dict[str, Any]]
    polls: dict[str, list[list[list[bytes]]]] = field(default_factory=dict)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = Case([])
    for number, kind in enumerate(FILTERS):
        case.triggers += draw(triggers_of(kind, 1 + 100 * number))
        polls = st.lists(st.lists(value(kind), min_size=1, max_size=4), max_size=3)
        case.polls[kind] = [draw(polls) for _ in range(PARTITIONS)]
    return case


class Detector:
    """Both stages as the workers run them, without a broker."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.triggers = [parse_trigger(obj, allowed_periods=PERIODS) for obj in objects]
        self.clients = {n: parse_client(client) for n, client in CLIENTS.items()}
        self.tallies: list[Tally] = []
        configuration = SimpleNamespace(
            clients=self.clients, triggers={one.id: one for one in self.triggers}
        )
        windows = PartitionWindows()
        table: Any = SimpleNamespace(
            state=lambda _: windows, states={0: windows}, flush_steps=lambda _: [[]]
        )
        reader: Any = SimpleNamespace(configuration=configuration)
        self._stage = EvaluateStage(table, reader, TopicNames(), Metrics())
        self._offset = 0
        self.alerts: list[dict[str, Any]] = []

    def count(self, kind: EventKind, partition: int, polls: list[list[bytes]]) -> None:
        """Count the polls of one partition; each is flushed, and evaluated at once."""
        index = TriggerIndex(kind, CLIENTS, self.triggers)
        state, offset = PartitionCounts(kind), 0
        for poll in polls:
            records = [Record(offset + n, value) for n, value in enumerate(poll)]
            offset += len(records)
            self.tallies.append(state.count(records, index))
            cut = state.cut()
            writer = PartialCountsWriter(0)
            writer.add_changes(partition, cut.changed, 0)
            for value in writer.records(writer.names):
                self._partial(value)
            state.confirm(cut)
            self._evaluate()

    def _partial(self, value: bytes) -> None:
        take(self._stage, "counts", 0, [Record(self._offset, value)])
        self._offset += 1

    def _evaluate(self) -> None:
        flush = self._stage.cut()
        alerts, _ = flush.steps()
        self.alerts += [json.loads(send.value or b"") for send in alerts]
        flush.confirm()


def test_the_matrix_has_every_filter_of_the_conditions_that_count() -> None:
    for kind, filters in FILTERS.items():
        assert set(CONDITIONS[f"{kind}_exceeded"].filters) == set(filters)
    assert set(WANTED) == set(SHARED) | {"target"}


@pytest.mark.timeout(120)
def test_all_conditions_filters_and_operators_fire_as_the_oracle_says() -> None:
    """The cells are counted over all examples: each must be met by events, and be missed."""
    seen = oracle.Totals()
    fired: Counter[str] = Counter()

    @settings(max_examples=50)
    @given(cases())
    def run(case: Case) -> None:
        detector, totals = Detector(case.triggers), oracle.Totals()
        for kind, partitions in case.polls.items():
            for number, polls in enumerate(partitions):
                detector.count(EventKind(kind), number, polls)
                rows = [(value, APPENDED * 1000) for poll in polls for value in poll]
                oracle.count(kind, rows, case.triggers, set(CLIENTS), totals)
        by_id = {one["id"]: one for one in case.triggers}
        expected = [
            oracle_alerts.alert(by_id[number], CLIENTS[by_id[number]["client_id"]], start)
            for number, start in totals.fired(case.triggers)
        ]
        assert in_order(detector.alerts) == in_order(expected)
        assert_tallied(detector.tallies, totals)
        seen.cells.update(totals.cells)
        seen.results.update(totals.results)
        seen.refused = Counter(seen.refused) + Counter(totals.refused)
        seen.late += totals.late
        fired.update(one["trigger"]["template_id"] for one in expected)

    with capture_logs():
        run()
    cells = {
        (kind, name, operator, is_met)
        for kind, names in FILTERS.items()
        for name in names
        for operator in OPERATORS
        for is_met in (True, False)
    }
    assert cells - seen.cells.keys() == set()
    assert set(fired) == {f"{kind}_exceeded" for kind in FILTERS}
    assert seen.late > 0
    assert min(seen.results.values()) > 0
    assert len(seen.results) == 5
    reasons = {"undecodable", "wrong_type", "missing_client", "unknown_client", "future_timestamp"}
    assert set(seen.refused) == reasons


def in_order(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(alerts, key=lambda one: str(one["id"]))


def assert_tallied(tallies: list[Tally], totals: oracle.Totals) -> None:
    """What became of the events adds up, by result and by reason."""
    results = ("counted", "unmatched", "experimental", "unsampled", "false_positive")
    found = {name: sum(getattr(tally, name) for tally in tallies) for name in results}
    assert {name: n for name, n in found.items() if n} == dict(totals.results)
    assert sum(tally.late for tally in tallies) == totals.late
    assert sum(tally.skipped for tally in tallies) == 0
    reasons = Counter(str(part.reason) for tally in tallies for _, part in tally.rejected)
    assert reasons == Counter(totals.refused)

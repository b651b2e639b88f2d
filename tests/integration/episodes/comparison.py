"""What has come of attacks on the topics and at the sandbox, held against the oracle."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from stream_app.opsgenie.sandbox.server import PROCESSING_MS
from stream_app.opsgenie.sandbox.state import AlertView, Entry
from tests.integration.episodes.attack import PER_INTEGRATION, Installation
from tests.integration.episodes.oracle import Attack, Expected, Fired, Told

SAID = re.compile(r"(\d+) more windows? ha(?:s|ve) fired since the one that began at (.+) UTC\.")


@dataclass
class Found:
    """The distinct records of `deliveries` and `delivery-results`, by id."""

    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: When each delivery was first written, Unix ms.
    written_ms: dict[str, int] = field(default_factory=dict)
    folded: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Ids of accepted requests, and the deliveries that they are of.
    accepted: dict[str, str] = field(default_factory=dict)
    repeated_records: int = 0

    def of(self, action: str) -> dict[str, dict[str, Any]]:
        return {
            name: one
            for name, one in self.deliveries.items()
            if one.get("action", "create") == action
        }

    @property
    def closes(self) -> dict[str, list[str]]:
        """The accepted closes of each alias, in the order in which they were written."""
        accepted, closes = set(self.accepted.values()), defaultdict(list)
        for name, one in self.of("close").items():
            if name in accepted:
                closes[alias(one)].append(name)
        return closes


def fired(record: Any) -> Fired:
    """Return the fired window of a record of `alerts`."""
    alert, headers = json.loads(record.value), dict(record.headers)
    only = {int(part) for part in headers.get("x-integration-ids", b"").split(b",") if part}
    return Fired(
        alert["id"],
        alert["client_id"],
        alert["trigger"]["id"],
        alert["trigger"]["revision"],
        alert["window_start"],
        alert["window_end"],
        tuple(n for n in alert["integration_ids"] if not only or n in only),
        "x-attempt" in headers,
    )


async def read(installation: Installation) -> Found:
    """Read the topics; what a crash has written twice must be the same."""
    found = Found()
    for record in await installation.records("deliveries"):
        one = json.loads(record.value)
        found.written_ms.setdefault(one["id"], record.timestamp)
        known = found.deliveries.setdefault(one["id"], one)
        found.repeated_records += known is not one
        assert known == one, (known, one)
    for record in await installation.records("delivery-results"):
        one = json.loads(record.value)
        if one["type"] == "folded":
            known = found.folded.setdefault(one["delivery_id"], one)
            found.repeated_records += known is not one
            assert known == one, (known, one)
        elif one["type"] == "attempt" and one["accepted"]:
            found.accepted[one["request_id"]] = one["delivery_id"]
    return found


def alias(delivery: Mapping[str, Any]) -> str:
    return str(delivery["episode"]["alias"] if "episode" in delivery else delivery["alert_id"])


def same(name: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Compare two sets of ids, and name a few of those that differ."""
    missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert (missing, strange) == ([], []), f"{name} that are missing, and that are too many"


def said(text: str) -> Told:
    """Return what a text tells of earlier windows."""
    if (match := SAID.search(text)) is None:
        return Told()
    since = datetime.strptime(match[2], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return Told(int(match[1]), int(since.timestamp()))


def compare_records(want: Expected, found: Found) -> dict[str, Attack]:
    """Compare what the topics hold with the oracle's answer; return the attack of each alias."""
    creates, notes = found.of("create"), found.of("note")
    same("pages", want.creates, creates)
    same("notes", want.notes, notes)
    same("folded windows", want.folded, found.folded)
    aliases: dict[str, Attack] = {}
    for name, (attack, told) in want.creates.items():
        one = creates[name]
        assert said(one["description"]) == told, name
        if attack is None:
            assert alias(one) == one["alert_id"]
        else:
            assert aliases.setdefault(alias(one), attack) is attack, name
    assert len(aliases) == len(want.attacks), "each attack has an alias, and each alias an attack"
    for name, one in found.folded.items():
        assert aliases[alias(one)] is want.folded[name], name
    for name, one in notes.items():
        assert said(one["note"]) == want.notes[name], name
        assert one["after"] == name.replace(":note/", "/")
        assert alias(one) == alias(creates[one["after"]])
    return aliases


def compare_requests(found: Found, installation: Installation) -> int:
    """Compare what the sandbox has received with the records; return how much a kill repeated."""
    posted = [one for one in installation.sandbox.requests if one.method == "POST"]
    assert {one.status for one in posted} == {202}
    done = set(found.accepted.values())
    same("accepted ones", found.of("create") | found.of("note"), done - found.of("close").keys())
    assert found.accepted.keys() <= {one.request_id for one in posted}
    # The answer to a request in flight is lost with the worker, so it is made again.
    repeated = Counter(int(one.key_end) for one in posted)
    repeated.subtract(found.deliveries[name]["integration_id"] for name in done)
    most = installation.kills["notifier"] * PER_INTEGRATION
    assert all(0 <= number <= most for number in repeated.values()), repeated
    return repeated.total()


def compare_alerts(aliases: Mapping[str, Attack], found: Found, installation: Installation) -> None:
    """Compare the sandbox's alerts with the records: how many, how often, and which are closed."""
    opened: dict[str, list[AlertView]] = defaultdict(list)
    for one in installation.sandbox.alerts:
        opened[one.alias].append(one)
    same("aliases", {alias(one) for one in found.of("create").values()}, opened)
    posted = Counter(
        one.alias for one in installation.sandbox.requests if one.path.endswith("/alerts")
    )
    for name, alerts in opened.items():
        attack = aliases.get(name)
        is_closed = attack is not None and attack.close_after > 0
        assert len(alerts) == max(1, len(found.closes.get(name, []))), name
        assert {alert.status for alert in alerts} == {"closed" if is_closed else "open"}, name
        assert sum(alert.requests for alert in alerts) == posted[name]
        assert [alert.count for alert in alerts] == [min(a.requests, 100) for a in alerts]


def compare_notes(found: Found, installation: Installation) -> None:
    """Check that the sandbox's alerts have all notes but those that came too early for it."""
    written: dict[str, list[Entry]] = defaultdict(list)
    opened_ms: dict[str, list[int]] = defaultdict(list)
    for alert in installation.sandbox.alerts:
        written[alert.alias] += alert.notes
        opened_ms[alert.alias].append(alert.created_at_ms)
    texts: dict[str, set[str]] = defaultdict(set)
    for one in (found.of("note") | found.of("close")).values():
        texts[alias(one)].add(one["note"])
    for name, entries in written.items():
        assert {entry.text for entry in entries} <= texts[name]
    for request in installation.sandbox.requests:
        if request.path.endswith("/notes"):
            at_ms, name = request.received_at_ms, request.alias
            early = any(0 <= at_ms - ms < PROCESSING_MS for ms in opened_ms[name])
            assert early or at_ms in {entry.at_ms for entry in written[name]}


def compare_closes(
    aliases: Mapping[str, Attack],
    found: Found,
    came_ms: Mapping[tuple[object, int], int],
    silence_scale: float,
    late: int,
) -> None:
    """Check how often each alert was closed, and that none was before its attack was over.

    An alert is closed once, and once more for a page that came when it was closed. A machine that
    stands still for a while makes a silence in an attack, in which its alert may be closed, too.

    Args:
        aliases: the attack of each alias.
        found: the records.
        came_ms: (client, second) -> when its first hit came, Unix ms by the broker.
        silence_scale: the factor on the silence.
        late: the second of an attack that comes when its alert is closed.
    """
    for name, attack in aliases.items():
        closes = found.closes.get(name, [])
        if not attack.close_after:
            assert closes == []
            continue
        silence_ms = attack.close_after * silence_scale * 1000
        client = attack.name[0]
        came = {window: came_ms[client, window[0]] for window in attack.windows}
        in_time = sorted(ms for window, ms in came.items() if window[0] != late)
        silences = sum(after - before >= silence_ms for before, after in pairwise(in_time))
        least = 1 + (late in attack.told)
        assert least <= len(closes) <= least + silences, (attack.name, closes, silences)
        followers = [
            other
            for other in aliases.values()
            if other.name[:-1] == attack.name[:-1] and other.begin > attack.end + attack.close_after
        ]
        followed_ms = min([came_ms[client, one.begin] for one in followers], default=math.inf)
        for close in closes:
            end, at_ms = found.deliveries[close]["episode"]["window_end"], found.written_ms[close]
            assert at_ms >= followed_ms or is_silent(came, end, at_ms, silence_ms), close


def is_silent(came: Mapping[tuple[int, int], int], end: int, at_ms: int, silence_ms: float) -> bool:
    """Tell whether there was a silence before a close that knows the windows up to an end.

    The windows that it does not know must have come after that silence.
    """
    over_ms = min([at_ms, *(ms for window, ms in came.items() if window[1] > end)])
    return max(ms for ms in came.values() if ms < over_ms) + silence_ms <= over_ms

"""An independent reading of what counting must do: plain Python, one event at a time.

It shares no code with `stream_app`: JSON by the standard library, triggers as the API objects
that people write, one loop.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONDITION = {
    "attacks": "attacks_exceeded",
    "hits": "hits_exceeded",
    "incidents": "incidents_exceeded",
}
DATABASE, CLIENT = {"sqli", "nosqli"}, {"xss", "redir", "crlf", "csrf"}

Window = tuple[int, int]  # trigger id, window start


@dataclass
class Totals:
    """Counts by (trigger id, window start), and what was refused, by reason."""

    counts: dict[Window, int] = field(default_factory=lambda: defaultdict(int))
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    late: int = 0
    #: What became of the events that were not refused and not late, by result.
    results: Counter[str] = field(default_factory=Counter)
    #: How often clauses were met, and how often not, as (kind, filter, operator, whether met).
    cells: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)

    def fired(self, triggers: Iterable[Mapping[str, Any]]) -> set[Window]:
        """Return the windows that exceed their trigger's threshold."""
        limit = {t["id"]: t["threshold"]["count"] for t in triggers}
        return {window for window, count in self.counts.items() if count > limit[window[0]]}


def count(  # noqa: C901, PLR0912 - one loop, read from top to bottom
    kind: str,
    partition: Sequence[tuple[bytes | None, int]],
    triggers: Sequence[Mapping[str, Any]],
    clients: set[int],
    totals: Totals,
) -> None:
    """Count the records (value, timestamp in ms) of one partition, in their order."""
    watermark = -1
    mine = [t for t in triggers if t["template_id"] == CONDITION[kind] and t["enabled"]]
    for value, timestamp_ms in partition:
        for event in _events(value, totals):
            reason = _refusal(event, clients)
            if reason:
                totals.refused[reason] += 1
                continue
            time = event.get("request_time" if kind == "hits" else "first_time")
            if time is None:
                time = event.get("create_time")
            time = timestamp_ms // 1000 if time is None else int(time)
            if (time - 300) * 1000 > timestamp_ms:
                totals.refused["future_timestamp"] += 1
                continue
            watermark = max(watermark, time)
            dropped = _dropped(kind, event)
            if dropped:
                totals.results[dropped] += 1
                continue
            is_late = is_counted = False
            for trigger in mine:
                if trigger["client_id"] != event["client_id"]:
                    continue
                met = [_meets(kind, event, item) for item in trigger["filters"]]
                for item, is_met in zip(trigger["filters"], met, strict=True):
                    totals.cells[kind, item["id"], item["operator"], is_met] += 1
                if not all(met):
                    continue
                period = trigger["threshold"]["period"]
                start = time // period * period
                if start + period + min(max(1000 * period, 3600), 86400) <= watermark:
                    is_late = True
                    continue
                totals.counts[trigger["id"], start] += 1
                is_counted = True
            if is_counted:
                totals.results["counted"] += 1
            elif is_late:
                totals.late += 1
            else:
                totals.results["unmatched"] += 1


def _dropped(kind: str, event: Mapping[str, Any]) -> str:
    """Return why an event is not counted; empty if it is counted."""
    if event.get("experimental"):
        return "experimental"
    if kind == "hits" and event.get("sampled") is False:
        return "unsampled"
    return "false_positive" if event.get("state") == "falsepositive" else ""


def _events(value: bytes | None, totals: Totals) -> Iterable[Any]:
    try:
        text = (value or b"").decode()
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError:
            lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
            if len(lines) < 2:
                raise
            parsed = []
            for line in lines:
                try:
                    parsed.append(json.loads(line))
                except json.JSONDecodeError:
                    totals.refused["undecodable"] += 1
    except ValueError:
        totals.refused["undecodable"] += 1
        return []
    return parsed if isinstance(parsed, list) else [parsed]


def _refusal(event: Any, clients: set[int]) -> str | None:
    if not isinstance(event, dict):
        return "wrong_type"
    if event.get("client_id") is None:
        return "missing_client"
    if not isinstance(event["client_id"], int):
        return "wrong_type"
    return None if event["client_id"] in clients else "unknown_client"


def _matches(kind: str, event: Mapping[str, Any], trigger: Mapping[str, Any]) -> bool:
    return all(_meets(kind, event, item) for item in trigger["filters"])


def _meets(kind: str, event: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    if not item["values"]:
        return True
    hit = any(
        _equal(item["id"], v, w) for v in _values(kind, event, item["id"]) for w in item["values"]
    )
    return hit is (item["operator"] == "eq")


def _values(kind: str, event: Mapping[str, Any], name: str) -> list[Any]:
    if name == "target":
        code = (event.get("type") or "").lower()
        inferred = "database" if code in DATABASE else "client" if code in CLIENT else "server"
        return [event.get("target") or inferred]
    if name == "ip_address" and kind == "hits":
        found = [event.get("remote_addr4"), event.get("remote_addr6")]
    elif name == "response_status" and kind == "hits":
        found = [event.get("response_status")]
    elif name == "ip_address":
        found = event.get("remote_addrs") or []
    elif name == "response_status":
        found = event.get("response_statuses") or []
    else:
        found = [event.get({"attack_type": "type", "pool": "poolid", "domain": "host"}[name])]
    return [v for v in found if v is not None and v != ""]


def _equal(name: str, value: Any, wanted: Any) -> bool:
    if name == "response_status":
        if isinstance(wanted, str) and wanted.lower().endswith("xx"):
            return bool(value // 100 == int(wanted[0]))
        return bool(int(value) == int(wanted))
    if name == "ip_address":
        return bool(_address(value) == _address(wanted))
    if isinstance(value, str) and isinstance(wanted, str):
        return value.lower() == wanted.strip().lower()
    return bool(value == wanted)


def _address(text: str) -> Any:
    """Parse an address in any spelling; a text that is no address equals only itself."""
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return text

"""What the sandbox remembers: alerts by alias, and the requests it got. Pure: time is passed in.

As the service does it: at most one open alert an alias, whose `count` stops at 100; once closed,
the same alias opens a new alert. A duplicate changes neither the message nor the description.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

COUNT_LIMIT = 100
MS_IN_SECOND = 1000
#: The service has no documented text for this; it is in the logs of the account.
DISCARDED = "Discarded by the rules of the integration"


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as it stands; `count` stops at 100, `requests` counts on."""

    id: str
    alias: str
    message: str
    description: str
    details: Mapping[str, str]
    tags: tuple[str, ...]
    priority: str
    entity: str
    source: str
    created_at_ms: int
    status: str = "open"
    count: int = 1
    requests: int = 1

    def as_json(self) -> dict[str, object]:
        """Return what the views show, with the service's own names and times."""
        fields = asdict(self) | {"tags": list(self.tags)}
        created_at_ms = fields.pop("created_at_ms")
        return fields | {"createdAt": iso_time(created_at_ms)}


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request that came to the service's API, with no more than the end of its key.

    `status` is 0 when no answer was given; `fault` is the kind of the failure on demand.
    """

    received_at_ms: int
    method: str
    path: str
    status: int
    alias: str
    request_id: str
    key_end: str
    fault: str = ""

    def as_json(self) -> dict[str, object]:
        """Return what the view of requests shows."""
        return {
            "time": iso_time(self.received_at_ms),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "alias": self.alias,
            "requestId": self.request_id,
            "key": f"...{self.key_end}" if self.key_end else "",
            "fault": self.fault,
        }


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of an accepted request, told from `ready_at_ms` on."""

    ready_at_ms: int
    data: Mapping[str, object] = field(default_factory=dict)


class SandboxState:
    """Alerts, requests and request states, each bounded to the newest `capacity`."""

    def __init__(self, capacity: int, processing_ms: int) -> None:
        self._capacity = capacity
        self._processing_ms = processing_ms
        self._alerts: OrderedDict[str, AlertView] = OrderedDict()
        self._open_ids: dict[str, str] = {}
        self._processed: OrderedDict[str, Processed] = OrderedDict()
        self._requests: deque[RequestView] = deque(maxlen=capacity)

    @property
    def alerts(self) -> list[AlertView]:
        """All alerts, oldest first."""
        return list(self._alerts.values())

    @property
    def requests(self) -> list[RequestView]:
        """All requests, oldest first."""
        return list(self._requests)

    def clear(self) -> None:
        """Forget everything."""
        self._alerts.clear()
        self._open_ids.clear()
        self._processed.clear()
        self._requests.clear()

    def note(self, request: RequestView) -> None:
        """Remember a request."""
        self._requests.append(request)

    def create(self, payload: Mapping[str, object], request_id: str, now_ms: int) -> AlertView:
        """Open an alert, or count one more of the open alert with the same alias.

        Args:
            payload: a request body that `find_errors` has nothing to say about.
            request_id: becomes the id of a new alert, too.
            now_ms: Unix milliseconds.
        """
        alias = str(payload.get("alias") or request_id)
        known = self._alerts.get(self._open_ids.get(alias, ""))
        if known is None:
            alert = _new_alert(payload, alias, request_id, now_ms)
            self._open_ids[alias] = alert.id
        else:
            count = min(known.count + 1, COUNT_LIMIT)
            alert = replace(known, count=count, requests=known.requests + 1)
        self._alerts[alert.id] = alert
        if len(self._alerts) > self._capacity:
            _, oldest = self._alerts.popitem(last=False)
            if self._open_ids.get(oldest.alias) == oldest.id:
                del self._open_ids[oldest.alias]
        self._process("Create", "Created alert", alert, request_id, now_ms)
        return alert

    def close(self, alias: str, request_id: str, now_ms: int) -> AlertView | None:
        """Close the open alert of an alias; None: there is none, as the request's state says."""
        alert = self._alerts.get(self._open_ids.pop(alias, ""))
        if alert is None:
            self._process("Close", "Alert does not exist", None, request_id, now_ms, alias=alias)
            return None
        alert = self._alerts[alert.id] = replace(alert, status="closed")
        self._process("Close", "Closed alert", alert, request_id, now_ms)
        return alert

    def discard(self, action: str, alias: str, request_id: str, now_ms: int) -> None:
        """Accept a request and do nothing, which only its state says: 202 is not delivery."""
        self._process(action, DISCARDED, None, request_id, now_ms, alias=alias)

    def request_data(self, request_id: str, now_ms: int) -> Mapping[str, object] | None:
        """Return what became of a request; None: unknown, or not processed yet."""
        processed = self._processed.get(request_id)
        return processed.data if processed and now_ms >= processed.ready_at_ms else None

    def is_known(self, request_id: str) -> bool:
        """Return whether such a request was accepted."""
        return request_id in self._processed

    def _process(
        self,
        action: str,
        status: str,
        alert: AlertView | None,
        request_id: str,
        now_ms: int,
        *,
        alias: str = "",
    ) -> None:
        ready_at_ms = now_ms + self._processing_ms
        data = {
            "isSuccess": alert is not None,
            "action": action,
            "status": status,
            "alertId": alert.id if alert else "",
            "alias": alert.alias if alert else alias,
            "integrationId": "sandbox",
            "processedAt": iso_time(ready_at_ms),
        }
        self._processed[request_id] = Processed(ready_at_ms, data)
        if len(self._processed) > self._capacity:
            self._processed.popitem(last=False)


def iso_time(unix_ms: int) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    time = datetime.fromtimestamp(unix_ms / MS_IN_SECOND, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_alert(payload: Mapping[str, object], alias: str, alert_id: str, now_ms: int) -> AlertView:
    details, tags = payload.get("details"), payload.get("tags")
    return AlertView(
        id=alert_id,
        alias=alias,
        message=str(payload["message"]),
        description=str(payload.get("description", "")),
        details=dict(details) if isinstance(details, Mapping) else {},
        tags=tuple(tags) if isinstance(tags, Iterable) else (),
        priority=str(payload.get("priority", "P3")),
        entity=str(payload.get("entity", "")),
        source=str(payload.get("source", "")),
        created_at_ms=now_ms,
    )

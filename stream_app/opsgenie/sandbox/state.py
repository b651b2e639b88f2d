"""What the sandbox remembers: alerts by alias, and requests. Pure: time is passed in.

As at the service, an alias has at most one open alert, whose `count` stops at 100. Once that is
closed, the same alias opens a new one. A duplicate changes neither message nor description.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from stream_app.opsgenie.outcome import NO_SUCH_ALERT

COUNT_LIMIT = 100
MS_IN_SECOND = 1000
#: The service documents no text for this, which is only in the logs of the account.
DISCARDED = "Discarded by the rules of the integration"


class IdentifierType(StrEnum):
    """What names an alert in the path of a request; the service's default is the id."""

    ID = "id"
    ALIAS = "alias"
    TINY = "tiny"


class AlertAction(StrEnum):
    """What is done with an alert, as the status of its request names it."""

    CREATE = "Create"
    NOTE = "AddNote"
    CLOSE = "Close"


#: AlertAction -> what the status of its request says when it is done.
DONE = {
    AlertAction.CREATE: "Created alert",
    AlertAction.NOTE: "Added note",
    AlertAction.CLOSE: "Closed alert",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A note on an alert, or a line of its activity log."""

    at_ms: int
    text: str

    def as_json(self) -> dict[str, object]:
        """Return the entry as `/sandbox/alerts` shows it."""
        return {"createdAt": iso_time(self.at_ms), "text": self.text}


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert in its present state.

    `count` and `log`, the activity log of its creates, stop at 100; `requests` does not.
    """

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
    notes: tuple[Entry, ...] = ()
    log: tuple[Entry, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the alert as `/sandbox/alerts` shows it, with the service's names and times."""
        fields = asdict(self) | {"tags": list(self.tags)}
        fields |= {"notes": [note.as_json() for note in self.notes]}
        fields |= {"log": [entry.as_json() for entry in self.log]}
        created_at_ms = fields.pop("created_at_ms")
        return fields | {"createdAt": iso_time(created_at_ms)}


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request to the service, with only the end of its key.

    `status` is 0 if it got no answer; `fault` is the kind of fault that it met, if any.
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
        """Return the request as `/sandbox/requests` shows it."""
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


class SandboxState:
    """Alerts, requests and what became of requests: of each the newest `capacity`.

    `on_alert` and `on_request` are called as `SandboxOpsgenie` says.
    """

    def __init__(
        self,
        capacity: int,
        processing_ms: int,
        on_alert: Callable[[AlertView], None] | None = None,
        on_request: Callable[[RequestView], None] | None = None,
    ) -> None:
        self._on_alert = on_alert
        self._on_request = on_request
        self._capacity = capacity
        self._processing_ms = processing_ms
        self._alerts: OrderedDict[str, AlertView] = OrderedDict()
        self._open_ids: dict[str, str] = {}
        #: Id of an accepted request -> when what became of it is known, and that.
        self._processed: OrderedDict[str, tuple[int, Mapping[str, object]]] = OrderedDict()
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

    def add_request(self, request: RequestView) -> None:
        """Remember a request."""
        self._requests.append(request)
        if self._on_request is not None:
            self._on_request(request)

    def create(self, payload: Mapping[str, object], request_id: str, now_ms: int) -> AlertView:
        """Open an alert, or count up the open alert with the same alias.

        Args:
            payload: a request body without errors (`find_errors`).
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
            entry = Entry(now_ms, f"Alert is created again, count {count}")
            log = (*known.log, entry) if len(known.log) < COUNT_LIMIT else known.log
            alert = replace(known, count=count, requests=known.requests + 1, log=log)
        self._alerts[alert.id] = alert
        if len(self._alerts) > self._capacity:
            _, oldest = self._alerts.popitem(last=False)
            if self._open_ids.get(oldest.alias) == oldest.id:
                del self._open_ids[oldest.alias]
        self._process(AlertAction.CREATE, DONE[AlertAction.CREATE], alert, request_id, now_ms)
        if self._on_alert is not None:
            self._on_alert(alert)
        return alert

    def act(
        self,
        action: AlertAction,
        name: str,
        request_id: str,
        now_ms: int,
        *,
        note: str = "",
        by: IdentifierType = IdentifierType.ALIAS,
    ) -> None:
        """Add a note to an open alert, or close it, maybe with one.

        If there is none, nothing happens, and the status says so. An alert whose "create" is not
        processed yet is none.
        """
        alert = self._find_open(name, by, now_ms)
        if alert is None:
            self._process(action, NO_SUCH_ALERT, None, request_id, now_ms, alias=name)
            return
        notes = (*alert.notes, Entry(now_ms, note)) if note else alert.notes
        alert = replace(alert, notes=notes)
        if action is AlertAction.CLOSE:
            del self._open_ids[alert.alias]
            alert = replace(alert, status="closed")
        self._alerts[alert.id] = alert
        self._process(action, DONE[action], alert, request_id, now_ms)

    def _find_open(self, name: str, by: IdentifierType, now_ms: int) -> AlertView | None:
        """Return the open alert that a request names; None: the service does not know it (yet)."""
        alert_id = self._open_ids.get(name, "") if by is IdentifierType.ALIAS else name
        alert = self._alerts.get(alert_id)
        is_open = alert is not None and self._open_ids.get(alert.alias) == alert.id
        if alert is None or not is_open or now_ms < alert.created_at_ms + self._processing_ms:
            return None
        return alert

    def discard(self, action: AlertAction, alias: str, request_id: str, now_ms: int) -> None:
        """Accept a request and do nothing. Only its status says so: 202 is not delivery."""
        self._process(action, DISCARDED, None, request_id, now_ms, alias=alias)

    def request_data(self, request_id: str, now_ms: int) -> Mapping[str, object] | None:
        """Return what became of a request; None: unknown, or not processed yet."""
        ready_at_ms, data = self._processed.get(request_id, (0, None))
        return data if now_ms >= ready_at_ms else None

    def is_known(self, request_id: str) -> bool:
        """Tell whether such a request was accepted."""
        return request_id in self._processed

    def _process(
        self,
        action: AlertAction,
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
        self._processed[request_id] = ready_at_ms, data
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

"""The live configuration of a worker: clients, triggers, integrations and their statuses.

A record that cannot be used removes its object from the view, because the earlier object is no
longer what its owner wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import orjson

from stream_app.domain.configuration.client_names import shared_names
from stream_app.domain.configuration.clients import Client, read_client
from stream_app.domain.configuration.fields import (
    MAX_CLIENT_BYTES,
    MAX_OBJECT_BYTES,
    Problems,
    note_id_mismatch,
)
from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.statuses import (
    IntegrationStatus,
    is_disabled_by_system,
    parse_status,
)
from stream_app.domain.configuration.triggers import Trigger, read_trigger
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.notices.subscriptions import SYSTEM
from stream_app.domain.topics import VIEW_KINDS
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.not_evaluated import NotEvaluated
from stream_app.kafka.configuration.records import id_of_key, shown_key
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.settings import Settings

log = get_logger(__name__)

ConfigObject = Client | Trigger | Integration | IntegrationStatus
CLIENTS, TRIGGERS, INTEGRATIONS = "clients", "triggers", "integrations"
#: Bytes that a record may have beside its object: when and by which command it was written.
STAMPS_BYTES = 4096


class Configuration:
    """The configured objects by id. The dicts are replaced, never changed, so one may be kept.

    `version` grows with each batch of changes. `trigger_offsets` holds the offset in
    `config.triggers` of the newest record of each trigger, even if it is invalid or deletes it;
    `trigger_position` is the next offset of that topic to be read.
    """

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}
        self.triggers: dict[int, Trigger] = {}
        self.integrations: dict[int, Integration] = {}
        self.statuses: dict[int, IntegrationStatus] = {}
        #: Integrations whose newest record cannot be used. They are not deleted.
        self.invalid_integrations: frozenset[int] = frozenset()
        #: Integrations whose newest record deletes them. Their topic keeps it (`DELETED_DAYS`).
        self.deleted_integrations: frozenset[int] = frozenset()
        self.version = 0
        self.trigger_offsets: dict[int, int] = {}
        self.trigger_position = 0

    def count_disabled(self) -> int:
        """Return how many integrations the system has disabled, and nobody has turned off since."""
        return len(self._disabled())

    def count_untold(self) -> int:
        """Return how many of those belong to a client that is told through no other one."""
        disabled = self._disabled()
        told = self.system_recipients() if disabled else {}
        return sum(one.client_id not in told for one in disabled)

    def _disabled(self) -> list[Integration]:
        known, statuses = self.integrations, self.statuses.values()
        return [
            known[s.id]
            for s in statuses
            if s.id in known and known[s.id].active and is_disabled_by_system(known[s.id], s)
        ]

    def system_recipients(self) -> dict[int, list[int]]:
        """Return by client the integrations that are told when another one is disabled."""
        found: dict[int, list[int]] = {}
        for number, one in sorted(self.integrations.items()):
            if SYSTEM in one.events and self.is_usable(one):
                found.setdefault(one.client_id, []).append(number)
        return found

    def is_usable(self, integration: Integration) -> bool:
        """Tell whether an integration gets alerts: active, and not disabled by the system."""
        status = self.statuses.get(integration.id)
        return integration.active and not is_disabled_by_system(integration, status)


class RecordApplier:
    """Applies records of the `config.*` topics to a `Configuration`, without a Kafka client."""

    def __init__(self, settings: Settings) -> None:
        self.configuration = Configuration()
        names = TopicNames(settings.topic_prefix)
        self._kinds = {names(topic): kind for topic, kind in VIEW_KINDS.items()}
        self._readers: dict[str, Callable[[dict[str, object]], tuple[ConfigObject, Problems]]] = {
            CLIENTS: read_client,
            TRIGGERS: partial(read_trigger, allowed_periods=settings.detector.allowed_periods),
            INTEGRATIONS: read_integration,
            "statuses": lambda obj: (parse_status(obj), []),
        }
        #: Keys whose newest record cannot be used, and those whose newest record deletes.
        self._invalid: dict[str, set[bytes]] = {kind: set() for kind in VIEW_KINDS.values()}
        self._deleted: dict[str, set[bytes]] = {kind: set() for kind in VIEW_KINDS.values()}
        #: The time of each kind's newest record, Unix ms; 0 if unknown.
        self._changed_ms = dict.fromkeys(VIEW_KINDS.values(), 0)
        self._metrics: Metrics | None = None
        self._not_evaluated = NotEvaluated()
        #: Clients whose name belongs to another client -> that client; each is logged once.
        self._shared_names: dict[int, int] = {}

    def report_to(self, metrics: Metrics) -> None:
        """Keep these metrics up to date from now on; call it when everything has been read once."""
        self._metrics = metrics
        for kind in VIEW_KINDS.values():
            self._count(kind)

    def apply(self, records: Iterable[Any]) -> None:
        """Apply the records in their order, as one change of the view."""
        by_kind: dict[str, list[Any]] = {}
        for record in records:
            by_kind.setdefault(self._kinds[record.topic], []).append(record)
        for kind, batch in by_kind.items():
            objects = dict(getattr(self.configuration, kind))
            newest_of: dict[bytes | None, Any] = {}
            for record in batch:  # nobody is told what is wrong with a record that was replaced
                newest_of.pop(record.key, None)
                newest_of[record.key] = record
            for record in newest_of.values():
                self._take(kind, record, objects)
            newest = max(record.timestamp for record in batch)
            self._changed_ms[kind] = max(self._changed_ms[kind], newest)
            if kind == TRIGGERS:
                offsets = {id_of_key(record.key): record.offset for record in batch}
                self.configuration.trigger_offsets = self.configuration.trigger_offsets | {
                    number: offset for number, offset in offsets.items() if number is not None
                }
                self.configuration.trigger_position = batch[-1].offset + 1
            self._replace(kind, objects)
        self.configuration.version += 1

    def forget(self, topic: str) -> None:
        """Drop the objects of a topic that was made anew and is about to be read again."""
        kind = self._kinds[topic]
        self._invalid[kind].clear()
        self._deleted[kind].clear()
        self._changed_ms[kind] = 0
        if kind == TRIGGERS:
            self.configuration.trigger_offsets = {}
            self.configuration.trigger_position = 0
        self._replace(kind, {})
        self.configuration.version += 1

    def _replace(self, kind: str, objects: dict[int, Any]) -> None:
        """Put the objects of a kind into the view, and log and count what follows from them."""
        setattr(self.configuration, kind, objects)
        if kind == TRIGGERS:
            self._not_evaluated.note(objects)
        elif kind == CLIENTS:
            self._warn_of_shared_names(objects)
        elif kind == INTEGRATIONS:
            self.configuration.invalid_integrations = _ids(self._invalid[kind])
            self.configuration.deleted_integrations = _ids(self._deleted[kind])
        self._count(kind)

    def _warn_of_shared_names(self, clients: dict[int, Client]) -> None:
        """Log clients that get no events by their name, because another client has it."""
        shared = shared_names({number: client.name for number, client in clients.items()})
        for number, keeper in shared.items():
            if self._shared_names.get(number) != keeper:
                log.warning(
                    "client_name_shared",
                    client_id=number,
                    kept_by=keeper,
                    reason="events that name it are the other's: apply it with another name",
                )
        self._shared_names = shared

    def _take(self, kind: str, record: Any, objects: dict[int, Any]) -> None:
        object_id = id_of_key(record.key)
        if object_id is not None:
            objects.pop(object_id, None)
        self._invalid[kind].discard(record.key or b"")
        self._deleted[kind].discard(record.key or b"")
        if record.value is None:
            self._deleted[kind].add(record.key or b"")
            return
        try:
            if object_id is None:
                raise _no_id(record.key)
            objects[object_id] = self._parsed(kind, object_id, record.value)
        except InvalidObjectError as error:
            self._invalid[kind].add(record.key or b"")
            log.warning(
                "config_record_invalid",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                id=object_id,
                reason=str(error),
            )

    def read_alone(self, record: Any) -> ConfigObject | None:
        """Return the object of a record, which is not applied; None: it holds none of use."""
        object_id = id_of_key(record.key)
        if object_id is None or record.value is None:
            return None
        try:
            return self._parsed(self._kinds[record.topic], object_id, record.value)
        except InvalidObjectError:
            return None

    def _parsed(self, kind: str, object_id: int, value: bytes) -> ConfigObject:
        most = MAX_CLIENT_BYTES if kind == CLIENTS else MAX_OBJECT_BYTES
        if len(value) > most + STAMPS_BYTES:
            raise InvalidObjectError("bytes", len(value), f"must be at most {most}")
        try:
            obj = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise InvalidObjectError("value", f"{len(value)} bytes", "is no JSON") from None
        if not isinstance(obj, dict):
            raise InvalidObjectError("value", f"{len(value)} bytes", "is no JSON object")
        parsed, problems = self._readers[kind](obj)
        own_id = parsed.client_id if isinstance(parsed, Client) else parsed.id
        note_id_mismatch(object_id, own_id, problems)
        if problems:
            raise problems[0]
        return parsed

    def _count(self, kind: str) -> None:
        if self._metrics is None:
            return
        objects = getattr(self.configuration, kind)
        self._metrics.config_objects.labels(kind).set(len(objects))
        if kind == TRIGGERS:
            self._metrics.triggers_active.set(sum(t.enabled for t in objects.values()))
            self._not_evaluated.report(self._metrics)
        self._metrics.config_invalid.labels(kind).set(len(self._invalid[kind]))
        self._metrics.config_applied.labels(kind).set(self._changed_ms[kind] / 1000 or None)


def _no_id(key: bytes | None) -> InvalidObjectError:
    return InvalidObjectError(
        shown_key(key), key, "must be the object's id as text", shows_value=False
    )


def _ids(keys: Iterable[bytes]) -> frozenset[int]:
    """Return the ids that keys hold, and skip keys that hold none."""
    return frozenset(number for key in keys if (number := id_of_key(key)) is not None)

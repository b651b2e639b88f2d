"""Notices of configuration changes: what was created, changed, disabled or deleted.

A notice's id names the record that changed the configuration, so a notice that is written again
after a crash has the same id. The kinds are the product's documented notification types. A change
that has no such type (an integration created or enabled, a client created or deleted) makes no
notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stream_app.domain.configuration.kinds import STAMPS, Kind
from stream_app.domain.notices.outgoing import Notice

#: Who changed the configuration, if the record doesn't name the command.
DEFAULT_ACTOR = "stream-app apply"


class NoticeType(StrEnum):
    """The documented notification types of configuration changes."""

    TRIGGER_CREATE = "trigger_create"
    TRIGGER_UPDATE = "trigger_update"
    TRIGGER_DELETE = "trigger_delete"
    DISABLE_INTEGRATION = "disable_integration"
    DELETE_INTEGRATION = "delete_integration"
    CREATE_APPLICATION = "create_application"
    UPDATE_APPLICATION = "update_application"
    DELETE_APPLICATION = "delete_application"


SUMMARIES = {
    NoticeType.TRIGGER_CREATE: "[Wallarm] Trigger was created",
    NoticeType.TRIGGER_UPDATE: "[Wallarm] Trigger was updated",
    NoticeType.TRIGGER_DELETE: "[Wallarm] Trigger was deleted",
    NoticeType.DISABLE_INTEGRATION: "[Wallarm] Integration was disabled",
    NoticeType.DELETE_INTEGRATION: "[Wallarm] Integration was deleted",
    NoticeType.CREATE_APPLICATION: "[Wallarm] Application was created",
    NoticeType.UPDATE_APPLICATION: "[Wallarm] Application was renamed",
    NoticeType.DELETE_APPLICATION: "[Wallarm] Application was deleted",
}


@dataclass(frozen=True)
class Difference:
    """One change. `part` tells the changes of one record apart; it is empty for a single one."""

    type: NoticeType
    client_id: int
    subject: dict[str, dict[str, object]]
    part: str = ""

    def notice(self, notice_id: str, client: Mapping[str, object] | None, actor: str) -> Notice:
        """Return the notice of the change; `client` is the record of the client it belongs to."""
        record = client or {}
        details = {"client_name": record.get("name"), "cloud": record.get("cloud")}
        return Notice(
            self.client_id,
            f"{notice_id}/{self.part}" if self.part else notice_id,
            SUMMARIES[self.type],
            {name: value for name, value in details.items() if value is not None}
            | {"notification_type": self.type.value, **self.subject, "actor": actor},
        )


def remembered(kind: Kind, obj: Mapping[str, object]) -> dict[str, object]:
    """Return the part of an object that is kept for comparison with its next version: no key."""
    if kind is Kind.INTEGRATION:
        return {name: obj.get(name) for name in ("client_id", "id", "name", "type", "active")}
    if kind is Kind.CLIENT:
        return {name: obj.get(name) for name in ("client_id", "name", "cloud", "applications")}
    return {name: value for name, value in obj.items() if name not in STAMPS[kind]}


def differences(
    kind: Kind, before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> list[Difference]:
    """Compare two remembered versions of an object; None stands for no object."""
    found = after or before
    client_id = (found or {}).get("client_id")
    if found is None or not isinstance(client_id, int):
        return []
    if kind is Kind.CLIENT:
        return list(_application_differences(client_id, before, after))
    if kind is Kind.INTEGRATION:
        subject = integration_subject(*(found.get(name) for name in ("id", "type", "name")))
        type_ = _integration_change(before, after)
    else:
        subject = {"trigger": {name: found.get(name) for name in ("id", "name")}}
        type_ = _trigger_change(before, after)
    return [] if type_ is None else [Difference(type_, client_id, subject)]


def integration_subject(
    number: object, type_: object, name: object
) -> dict[str, dict[str, object]]:
    """Return the part of a notice that names its integration."""
    return {"integration": {"id": number, "type": type_, "name": name}}


def _trigger_change(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> NoticeType | None:
    if before == after:
        return None
    if before is None:
        return NoticeType.TRIGGER_CREATE
    return NoticeType.TRIGGER_DELETE if after is None else NoticeType.TRIGGER_UPDATE


def _integration_change(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> NoticeType | None:
    if before is None:
        return None
    if after is None:
        return NoticeType.DELETE_INTEGRATION
    is_turned_off = before.get("active") is True and after.get("active") is not True
    return NoticeType.DISABLE_INTEGRATION if is_turned_off else None


def _application_differences(
    client_id: int, before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> Iterator[Difference]:
    """Yield the changes of a client's applications, in the order of their ids.

    A client that is created or deleted as a whole makes no notices of its applications.
    """
    if before is None or after is None:
        return
    old, new = _applications(before), _applications(after)
    for number in sorted(old.keys() | new.keys(), key=lambda text: (len(text), text)):
        subject: dict[str, object] = {"id": _number(number), "name": new.get(number)}
        if number not in old:
            type_ = NoticeType.CREATE_APPLICATION
        elif number not in new:
            type_, subject["name"] = NoticeType.DELETE_APPLICATION, old[number]
        elif old[number] != new[number]:
            type_ = NoticeType.UPDATE_APPLICATION
            subject = {"id": _number(number), "old_name": old[number], "name": new[number]}
        else:
            continue
        yield Difference(type_, client_id, {"application": subject}, part=number)


def _applications(client: Mapping[str, object]) -> Mapping[str, object]:
    found = client.get("applications")
    return found if isinstance(found, Mapping) else {}


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text

from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.notices.config_changes import Difference, NoticeType, differences, remembered

CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU", "applications": {"7": "Shop"}}
INTEGRATION = {
    "client_id": 1111, "id": 521, "name": "On-call EU", "type": "opsgenie", "active": True,
    "target": {"token": "sealed:v1:AAAA", "api": "https://api.opsgenie.com"}, "epoch": 5,
}  # fmt: skip
TRIGGER = {"client_id": 1111, "id": 61, "name": "Incidents", "enabled": True, "enabled_at": 5}


def found(kind: Kind, before: Any, after: Any) -> list[Difference]:
    old, new = (None if obj is None else remembered(kind, obj) for obj in (before, after))
    return differences(kind, old, new)


def types(kind: Kind, before: Any, after: Any) -> list[NoticeType]:
    return [difference.type for difference in found(kind, before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, TRIGGER, [NoticeType.TRIGGER_CREATE]),
        (TRIGGER, TRIGGER | {"name": "Other"}, [NoticeType.TRIGGER_UPDATE]),
        (TRIGGER, TRIGGER | {"enabled": False}, [NoticeType.TRIGGER_UPDATE]),
        (TRIGGER, TRIGGER | {"enabled_at": 9}, []),
        (TRIGGER, None, [NoticeType.TRIGGER_DELETE]),
        (None, None, []),
    ],
)
def test_triggers(before: Any, after: Any, expected: list[NoticeType]) -> None:
    assert types(Kind.TRIGGER, before, after) == expected


OFF = INTEGRATION | {"active": False}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, INTEGRATION, []),
        (INTEGRATION, OFF, [NoticeType.DISABLE_INTEGRATION]),
        (OFF, INTEGRATION, []),
        (OFF, OFF | {"name": "Other"}, []),
        (INTEGRATION, INTEGRATION | {"epoch": 9}, []),
        (INTEGRATION, None, [NoticeType.DELETE_INTEGRATION]),
        (OFF, None, [NoticeType.DELETE_INTEGRATION]),
    ],
)
def test_integrations(before: Any, after: Any, expected: list[NoticeType]) -> None:
    assert types(Kind.INTEGRATION, before, after) == expected


@pytest.mark.parametrize(
    ("applications", "expected"),
    [
        ({"7": "Shop"}, []),
        ({"7": "Web shop"}, [NoticeType.UPDATE_APPLICATION]),
        ({}, [NoticeType.DELETE_APPLICATION]),
        ({"7": "Shop", "8": "Blog"}, [NoticeType.CREATE_APPLICATION]),
        ({"8": "Blog"}, [NoticeType.DELETE_APPLICATION, NoticeType.CREATE_APPLICATION]),
        (None, [NoticeType.DELETE_APPLICATION]),
    ],
)
def test_applications(applications: Any, expected: list[NoticeType]) -> None:
    assert types(Kind.CLIENT, CLIENT, CLIENT | {"applications": applications}) == expected


def test_a_client_that_comes_or_goes_makes_no_notices_of_its_applications() -> None:
    assert types(Kind.CLIENT, None, CLIENT) == []
    assert types(Kind.CLIENT, CLIENT, None) == []


def test_the_notice_of_a_renamed_application_is_the_documented_one() -> None:
    (difference,) = found(Kind.CLIENT, CLIENT, CLIENT | {"applications": {"7": "Web shop"}})
    notice = difference.notice("config.clients/17", CLIENT, "stream-app apply")
    assert notice.client_id == 1111
    assert notice.id == "config.clients/17/7"
    assert notice.summary == "[Wallarm] Application was renamed"
    assert notice.details == {
        "client_name": "Acme Retail",
        "cloud": "EU",
        "notification_type": "update_application",
        "application": {"id": 7, "old_name": "Shop", "name": "Web shop"},
        "actor": "stream-app apply",
    }


def test_the_notice_of_a_disabled_integration_is_the_documented_one() -> None:
    (difference,) = found(Kind.INTEGRATION, INTEGRATION, OFF)
    notice = difference.notice("config.integrations/3", CLIENT, "stream-app integrations disable")
    assert (notice.id, notice.summary) == (
        "config.integrations/3",
        "[Wallarm] Integration was disabled",
    )
    assert notice.details["integration"] == {"id": 521, "type": "opsgenie", "name": "On-call EU"}


def test_a_notice_of_an_unknown_client_does_not_invent_its_name() -> None:
    (difference,) = found(Kind.TRIGGER, TRIGGER, None)
    details = difference.notice("config.triggers/3", None, "stream-app delete").details
    assert details == {
        "notification_type": "trigger_delete",
        "trigger": {"id": 61, "name": "Incidents"},
        "actor": "stream-app delete",
    }


def test_no_key_is_remembered() -> None:
    assert "target" not in remembered(Kind.INTEGRATION, INTEGRATION)

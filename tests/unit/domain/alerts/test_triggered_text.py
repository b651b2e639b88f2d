"""The texts of notices that triggers match, compared with golden files and documented texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import NoticeAlert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.alerts.threshold_text import Message
from stream_app.domain.alerts.triggered_text import DOCUMENTED_TEXTS
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.notices.alerts import triggered_alerts
from stream_app.domain.notices.filter_fields import FILTER_READERS
from stream_app.domain.notices.incoming import Origin, notice_decoder
from stream_app.domain.notices.matching import CONDITION_OF_KIND
from stream_app.opsgenie.payload import DESCRIPTION_LIMIT, MESSAGE_LIMIT
from stream_app.opsgenie.text import length
from tests.unit.domain.documented_notices import NOTICES
from tests.unit.domain.documented_triggers import (
    CASES,
    CLIENT,
    DENYLISTED,
    DOCUMENTED,
    NEW_ENDPOINT,
    NEW_USER,
    SHADOW,
    client_notice,
    trigger,
)
from tests.unit.opsgenie.payloads import payload_of

#: Filter -> its label in a text.
LABELS = {
    "pool": "Application",
    "domain": "Domain",
    "response_status": "Response status",
    "change_type": "Change type",
    "pii": "Sensitive data",
    "deviation_type": "Deviation type",
    "api_spec_ids": "Specification",
    "role": "Role",
}
GOLDEN = Path(__file__).parent / "golden" / "notice_triggers"
ORIGIN = Origin("events.account", 0, 17, 0, 1767225600000)


def alert(body: dict[str, Any], one: Trigger) -> NoticeAlert:
    ((_, _, found),) = notice_decoder.parts(json.dumps(body).encode())
    (made,) = triggered_alerts(found, ORIGIN, CLIENT, [one])
    return made


def message(name: str) -> Message:
    return render_notice(alert(*CASES[name]))


def text(name: str) -> str:
    found = message(name)
    return f"{found.title}\n\n{found.description}"


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_that_of_the_file(name: str) -> None:
    assert text(name).encode() == (GOLDEN / f"{name}.txt").read_bytes()


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_text_comes_out_as_it_stands_in_the_documentation(name: str) -> None:
    assert text(name) == DOCUMENTED[name]


def test_every_condition_has_its_documented_text_and_every_filter_its_clause() -> None:
    assert DOCUMENTED.keys() == FILTER_READERS.keys() == set(CONDITION_OF_KIND.values())
    assert DOCUMENTED_TEXTS.keys() == CONDITION_OF_KIND.keys()
    shown = {item.id for _, one in CASES.values() for item in one.filters}
    assert shown == {name for fields in FILTER_READERS.values() for name in fields} == LABELS.keys()
    whole = "\n".join(text(name) for name in CASES)
    assert all(f"\n{label}: " in whole for label in LABELS.values())


def test_the_trigger_stands_in_the_details_before_the_facts_of_the_notice() -> None:
    details = message("blacklist_ip_added").details
    assert list(details)[:6] == [
        "client_name",
        "cloud",
        "notification_type",
        "trigger_id",
        "trigger_name",
        "template_id",
    ]
    # The notice names the trigger of its producer; it is not the one that sends the message.
    assert (details["trigger_id"], details["trigger_name"]) == ("77", "Denylist watch")
    assert details["template_id"] == "blacklist_ip_added"
    assert details["reason"] == "Produces many attacks"


NAMED = {7: "Shop", 8: "Blog", 12: "404", 404: "Lost"}


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ({"application": 7}, "Shop"),
        ({"application": "7"}, "Shop"),
        ({"applications": [7, "Blog", 99]}, "Shop, Blog, 99"),
        ({"application": "Shop"}, "Shop"),
        # A text of digits is a name where an application has it, a number never is.
        ({"application": "404"}, "404"),
        ({"application": 404}, "Lost"),
        ({"application_id": 404}, "Lost"),
        ({"application_id": [7, 99]}, "Shop, 99"),
    ],
)
def test_an_application_is_shown_by_its_name_wherever_its_id_stands(
    details: dict[str, Any], shown: str
) -> None:
    body = client_notice("Acme Retail", "ip_blocked", **DENYLISTED, **details)
    one = trigger("blacklist_ip_added", "Denylist", Filter("pool", "ne", (8,)))
    ((_, _, found),) = notice_decoder.parts(json.dumps(body).encode())
    client = msgspec.structs.replace(CLIENT, applications=NAMED)
    (made,) = triggered_alerts(found, ORIGIN, client, [one])
    assert f"blocked for the application {shown}.\n" in render_notice(made).description


def test_words_in_any_case_with_white_space_have_the_documented_texts() -> None:
    added = client_notice(
        "Acme Retail", "api_structure_changed", **NEW_ENDPOINT | {"change_type": " Added"}
    )
    found = render_notice(alert(added, trigger("api_structure_changed", "API")))
    assert found.title == "[wallarm] A new endpoint has been discovered in your API"
    shadow = client_notice(
        "Acme Retail", "api_comparison_result", **SHADOW | {"type_of_endpoint": "Shadow "}
    )
    found = render_notice(alert(shadow, trigger("rogue_api_detected", "Rogue")))
    assert found.title == "[wallarm] A new shadow endpoint has been discovered in your API"
    assert "\n\nThe new GET example.com/users shadow endpoint has been" in found.description


def test_a_role_code_is_shown_by_its_name() -> None:
    body = json.loads(json.dumps(NEW_USER))
    body["details"]["user"]["role"] = "analytic"
    found = render_notice(alert(body, trigger("user_created", "Added user")))
    assert "with the role Analyst was added" in found.description


def test_a_flat_record_of_a_new_user_has_the_documented_sentence() -> None:
    body = {"summary": "x", "details": {"notification_type": "create_user"}}
    body["details"] |= {"email": "a@b.example", "role": "Deploy", "created_by": "c@d.example"}  # type: ignore[operator]
    found = render_notice(alert(body, trigger("user_created", "Added user")))
    assert (
        "\n\nA new user a@b.example with the role Deploy was added to the company account by "
        'c@d.example.\nThis notification was triggered by the "Added user" trigger.\n\n'
    ) in found.description


def test_what_is_beyond_the_limits_is_cut_at_a_word_and_the_whole_title_comes_first() -> None:
    words = "[Wallarm] " + "A long summary " * 20
    long = NOTICES["delete_user"] | {"summary": words.strip(), "description": "word " * 5000}
    plain = alert(long, trigger("user_created", "Added user"))
    found = render_notice(NoticeAlert("a", 1, "Acme", "EU", plain.notice, (521,)))
    payload = payload_of(found.title, found.description, "a", found.details)
    shown, description = str(payload["message"]), str(payload["description"])
    assert length(shown) <= MESSAGE_LIMIT
    assert shown.endswith("…")
    assert words.startswith(shown.removesuffix("…") + " ")
    assert description.startswith(f"{words.strip()}\n\nword word ")
    assert description.endswith(" word…")
    assert MESSAGE_LIMIT < length(description) <= DESCRIPTION_LIMIT

"""The test messages have the documented forms."""

from __future__ import annotations

import pytest

from stream_app.domain.alerts.trial_text import trial_messages
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import EVENTS

ACME = Client(1111, "Acme Retail", "US", {})


def test_a_new_user_stands_for_system_events() -> None:
    (message,) = trial_messages(["system"], ACME)
    assert message.event == "system"
    assert message.title == "[Test message] [Wallarm] New user was added to the company account"
    assert message.description == (
        "Notification type: create_user\n\nA new user John Smith <johnsmith@example.com> with the "
        "role Analyst was added to the company account by John Doe <johndoe@example.com>.\n\n"
        "Client: Acme Retail\nCloud: US"
    )
    assert message.details == {
        "client_name": "Acme Retail",
        "cloud": "US",
        "notification_type": "create_user",
        "user": {"name": "John Smith", "email": "johnsmith@example.com", "role": "Analyst"},
        "created_by": {"name": "John Doe", "email": "johndoe@example.com"},
    }


def test_a_new_trigger_stands_for_rules_and_triggers() -> None:
    (message,) = trial_messages(["rules_and_triggers"], ACME)
    assert message.title == "[Test message] [Wallarm] Trigger was created"
    assert message.description == (
        'Notification type: trigger_create\n\nThe trigger "Notification about incidents" (ID 61) '
        "was created by johndoe@example.com.\n\nClient: Acme Retail\nCloud: US"
    )
    assert message.details["trigger"] == {"id": 61, "name": "Notification about incidents"}


@pytest.mark.parametrize("risk", ["Critical", "High", "Medium", "Low", "Info"])
def test_a_security_issue_has_the_risk_of_its_event(risk: str) -> None:
    (message,) = trial_messages([f"security_issue_{risk.lower()}"], ACME)
    assert message.title == "[Test message] [Wallarm] New security issue detected"
    assert message.description == (
        "Notification type: security_issue\n\nNew security issue was detected in your system.\n\n"
        "ID: 555\nTitle: Reflected XSS\nHost: shop.example.com\nPath: /search\nMethod: GET\n"
        "Discovered by: Passive Detect\nParameter: GET_q_value\nType: Cross-site scripting\n"
        f"Risk: {risk}\n\nMore details: https://us1.my.wallarm.com/object/555\n\n\n"
        "Client: Acme Retail\nCloud: US"
    )
    issue = message.details["security_issue"]
    assert isinstance(issue, dict)
    assert (issue["risk"], issue["id"]) == (risk, 555)
    assert message.details["security_issue_link"] == "https://us1.my.wallarm.com/object/555"


def test_every_event_has_a_message_and_without_any_there_is_a_plain_one() -> None:
    assert [message.event for message in trial_messages(EVENTS, ACME)] == list(EVENTS)
    (plain,) = trial_messages([], ACME)
    assert plain.title == "[Test message] [Wallarm] Test of the integration"
    assert plain.description.endswith("Client: Acme Retail\nCloud: US")


@pytest.mark.parametrize("events", [EVENTS, ()])
def test_a_client_that_is_not_known_is_not_named(events: tuple[str, ...]) -> None:
    for message in trial_messages(events, None):
        assert "Client:" not in message.description
        assert "client_name" not in message.details


def test_links_lead_to_the_host_that_is_set_for_the_cloud() -> None:
    hosts = {"US": "console.acme.example:8443"}
    (message,) = trial_messages(["security_issue_high"], ACME, hosts)
    assert "\nMore details: https://console.acme.example:8443/object/555\n" in message.description

"""Test messages of an integration: one for each selected event, with made-up contents.

They have the documented forms, so that people see what real messages will look like, and a prefix
that tells them from real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.alerts.threshold_text import console_host
from stream_app.domain.configuration.clients import Client

PREFIX = "[Test message] "
#: The event of the message that is sent if no event is selected.
NO_EVENT = "plain message"
SECURITY_ISSUE = "security_issue_"
ISSUE_ID = 555
_USER = {"name": "John Smith", "email": "johnsmith@example.com", "role": "Analyst"}
_CREATOR = {"name": "John Doe", "email": "johndoe@example.com"}
_TRIGGER = {"id": 61, "name": "Notification about incidents"}


@dataclass(frozen=True)
class TrialMessage:
    """One test message, which shows what the messages of a selected event look like."""

    event: str
    title: str
    description: str
    details: Mapping[str, object]


@dataclass(frozen=True)
class _Example:
    """The parts of a message that differ; `lines` stand between the type and the client."""

    notification_type: str
    title: str
    lines: Sequence[str]
    details: Mapping[str, object]


def trial_messages(
    events: Sequence[str], client: Client | None, console_hosts: Mapping[str, str] | None = None
) -> list[TrialMessage]:
    """Return a message for each event, or a plain one if there are no events.

    Args:
        events: the selected ones of `stream_app.domain.configuration.integrations.EVENTS`.
        client: the client that the integration belongs to; None if it is not known.
        console_hosts: as for `stream_app.domain.alerts.threshold_text.render_alert`.
    """
    host = console_host(client.cloud if client else "EU", console_hosts)
    return [_message(event, client, host) for event in events or (NO_EVENT,)]


def _message(event: str, client: Client | None, host: str) -> TrialMessage:
    if event.startswith(SECURITY_ISSUE):
        example = _security_issue(event.removeprefix(SECURITY_ISSUE), host)
    else:
        example = EXAMPLES[event]()
    footer = [f"Client: {client.name}", f"Cloud: {client.cloud}"] if client else []
    lines = [f"Notification type: {example.notification_type}", "", *example.lines, *footer]
    known = {"client_name": client.name, "cloud": client.cloud} if client else {}
    return TrialMessage(
        event=event,
        title=f"{PREFIX}[Wallarm] {example.title}",
        description="\n".join(lines).rstrip(),
        details={
            **known,
            "notification_type": example.notification_type,
            **example.details,
        },
    )


def _new_user() -> _Example:
    sentence = (
        f"A new user {_USER['name']} <{_USER['email']}> with the role {_USER['role']} was added "
        f"to the company account by {_CREATOR['name']} <{_CREATOR['email']}>."
    )
    return _Example(
        "create_user",
        "New user was added to the company account",
        [sentence, ""],
        {"user": _USER, "created_by": _CREATOR},
    )


def _new_trigger() -> _Example:
    """Return the example of a kind whose text is not documented."""
    thing = f'The trigger "{_TRIGGER["name"]}" (ID {_TRIGGER["id"]})'
    sentence = f"{thing} was created by {_CREATOR['email']}."
    return _Example(
        "trigger_create",
        "Trigger was created",
        [sentence, ""],
        {"trigger": _TRIGGER, "actor": _CREATOR["email"]},
    )


def _security_issue(risk: str, host: str) -> _Example:
    link = f"https://{host}/object/{ISSUE_ID}"
    issue = {
        "host": "shop.example.com",
        "id": ISSUE_ID,
        "method": "GET",
        "parameter": "GET_q_value",
        "path": "/search",
        "title": "Reflected XSS",
        "discovered_by": "Passive Detect",
        "risk": risk.capitalize(),
        "type": "Cross-site scripting",
    }
    lines = [
        "New security issue was detected in your system.",
        "",
        f"ID: {issue['id']}",
        f"Title: {issue['title']}",
        f"Host: {issue['host']}",
        f"Path: {issue['path']}",
        f"Method: {issue['method']}",
        f"Discovered by: {issue['discovered_by']}",
        f"Parameter: {issue['parameter']}",
        f"Type: {issue['type']}",
        f"Risk: {issue['risk']}",
        "",
        f"More details: {link}",
        "",
        "",
    ]
    return _Example(
        "security_issue",
        "New security issue detected",
        lines,
        {"security_issue_link": link, "security_issue": issue},
    )


def _plain() -> _Example:
    """Return the example for an integration that only triggers send to."""
    return _Example(
        "test",
        "Test of the integration",
        ["This message was sent to test the integration. Nothing has happened.", ""],
        {},
    )


#: Event -> its example; those of security issues depend on the risk.
EXAMPLES: Mapping[str, Callable[[], _Example]] = {
    "system": _new_user,
    "rules_and_triggers": _new_trigger,
    NO_EVENT: _plain,
}

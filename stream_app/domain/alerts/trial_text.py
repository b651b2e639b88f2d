"""Test messages of an integration: one for each selected event, with made-up contents.

They are rendered as real notices are, so that people see what real messages will look like, and
have a prefix that tells them from real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.alerts.flat_details import flattened_details
from stream_app.domain.alerts.notice_text import notice_lines
from stream_app.domain.alerts.threshold_text import console_host
from stream_app.domain.configuration.clients import Client

PREFIX = "[Test message] "
#: The event of the message that is sent if no event is selected.
NO_EVENT = "plain message"
SECURITY_ISSUE = "security_issue_"
ISSUE_ID = 555


@dataclass(frozen=True)
class TrialMessage:
    """One test message, which shows what the messages of a selected event look like."""

    event: str
    title: str
    description: str
    details: Mapping[str, object]


@dataclass(frozen=True)
class _Example:
    """A made-up notice; `summary` is the text of a kind that has none."""

    kind: str
    title: str
    details: Mapping[str, object]
    summary: str = ""


#: Event -> its example; those of security issues depend on the risk.
EXAMPLES: Mapping[str, _Example] = {
    "system": _Example(
        "create_user",
        "New user was added to the company account",
        {
            "user": {"name": "John Smith", "email": "johnsmith@example.com", "role": "Analyst"},
            "created_by": {"name": "John Doe", "email": "johndoe@example.com"},
        },
    ),
    "rules_and_triggers": _Example(
        "trigger_create",
        "Trigger was created",
        {
            "trigger": {"id": 61, "name": "Notification about incidents"},
            "actor": "johndoe@example.com",
        },
    ),
    # For an integration that only triggers send to.
    NO_EVENT: _Example(
        "test",
        "Test of the integration",
        {},
        "This message was sent to test the integration. Nothing has happened.",
    ),
}


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
        example = EXAMPLES[event]
    details = {"notification_type": example.kind, **example.details}
    lines = notice_lines(example.kind, example.summary, dict(flattened_details(details)))
    known = {"client_name": client.name, "cloud": client.cloud} if client else {}
    if client:
        lines += [f"Client: {client.name}", f"Cloud: {client.cloud}"]
    return TrialMessage(
        event=event,
        title=f"{PREFIX}[Wallarm] {example.title}",
        description="\n".join(lines).rstrip(),
        details={**known, **details},
    )


def _security_issue(risk: str, host: str) -> _Example:
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
    link = f"https://{host}/object/{ISSUE_ID}"
    return _Example(
        "security_issue",
        "New security issue detected",
        {"security_issue_link": link, "security_issue": issue},
    )

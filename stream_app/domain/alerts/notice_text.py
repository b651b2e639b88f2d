"""The texts of notices: the producer's own, the documented one, or one modelled on those.

`create_user`, `security_issue`, `vuln` and `new_scope_object_ips` are documented word for word.
Every other kind gets a sentence like the documented ones. A notice without the details that its
text needs gets its summary as a sentence, then its details, one per line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from stream_app.domain.alerts.alert import NoticeAlert
from stream_app.domain.alerts.notice_sentences import (
    COMMON_DETAILS,
    SENTENCES,
    FlatDetails,
    summary_and_details,
)
from stream_app.domain.alerts.threshold_text import Message, shown_name
from stream_app.domain.alerts.triggered_text import triggered_text
from stream_app.domain.catalog.issue_risks import ISSUE_BODIES, RISK_FIELDS, known_risk

#: Fields of an issue of which one is enough for its text; a link alone is not.
_ISSUE_FIELDS = (
    *("id", "title", "host", "domain", "path", "port", "url", "method", "discovered_by"),
    *("parameter", "type", *RISK_FIELDS),
)
#: White space, controls, and characters without a shape.
_BLANK = re.compile(
    r"[\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]*+"
)
_PERIMETER_IP = re.compile(r"data_\d+_entity_ip")


def render_notice(alert: NoticeAlert) -> Message:
    """Return the message of a notice; equal alerts give equal messages.

    The message's details begin with the client and the kind, then the trigger that matches the
    notice, then the notice's own details.
    """
    notice, trigger = alert.notice, alert.trigger
    details = dict(zip(COMMON_DETAILS, (alert.client_name, alert.cloud, notice.kind), strict=True))
    if trigger is None:
        title, description = notice.summary, notice.description
        if not _is_visible(description):
            lines = notice_lines(notice.kind, notice.summary, notice.details)
            lines += [f"Client: {alert.client_name}", f"Cloud: {alert.cloud}"]
            description = "\n".join(lines)
    else:
        title, description = triggered_text(alert, trigger)
        details |= {
            "trigger_id": str(trigger.id),
            "trigger_name": shown_name(trigger.name),
            "template_id": trigger.template_id,
        }
    more = {name: text for name, text in notice.details.items() if name not in details}
    return Message(title, description, {**details, **more})


def _is_visible(text: str) -> bool:
    return _BLANK.fullmatch(text) is None


def notice_lines(kind: str, summary: str, details: FlatDetails) -> list[str]:
    """Return the lines of a notice, all but those that name its client."""
    if kind in MULTILINE_TEXTS:
        text = MULTILINE_TEXTS[kind](details)
    else:
        sentence = SENTENCES[kind](details) if kind in SENTENCES else ""
        text = [sentence] if sentence else []
    lines = text or summary_and_details(summary, details)
    return [f"Notification type: {kind}", "", *lines, ""]


def _security_issue(details: FlatDetails) -> list[str]:
    return _issue(details, "security issue", host="Host", risk="Risk")


def _vulnerability(details: FlatDetails) -> list[str]:
    return _issue(details, "vulnerability", host="Domain", risk="Threat")


def _issue(details: FlatDetails, what: str, *, host: str, risk: str) -> list[str]:
    """Return the documented lines, also those without a value; none if there is no issue.

    `host` and `risk` are labels that differ between newer and older issues. Port and URL are
    documented only for issues that a scan from outside has found.
    """
    if not any(_issue_field(details, name) for name in _ISSUE_FIELDS):
        return []
    scanned = (("Port", "port"), ("URL", "url"))
    rows = (
        ("ID", "id"),
        ("Title", "title"),
        (host, "host", "domain"),
        ("Path", "path"),
        *(row for row in scanned if _issue_field(details, row[1])),
        ("Method", "method"),
        ("Discovered by", "discovered_by"),
        ("Parameter", "parameter"),
        ("Type", "type"),
    )
    return [
        f"New {what} was detected in your system.",
        "",
        *(f"{label}: {_issue_field(details, *names)}" for label, *names in rows),
        f"{risk}: {_risk(details)}",
        "",
        f"More details: {_issue_field(details, 'link')}",
        "",
    ]


def _issue_field(details: FlatDetails, *names: str) -> str:
    """Return the first of an issue's fields that has a value; empty if none has."""
    places = (f"{body}_{name}" for body in ISSUE_BODIES for name in names)
    return next((details[place] for place in places if details.get(place)), "")


def _risk(details: FlatDetails) -> str:
    """Return the risk that decides who gets the notice; an unknown one unchanged."""
    given = [details.get(f"{body}_{name}") for body in ISSUE_BODIES for name in RISK_FIELDS]
    known = known_risk(details.get("notification_type", ""), *given)
    return known or _issue_field(details, *RISK_FIELDS)


def _perimeter(details: FlatDetails) -> list[str]:
    found = [text for name, text in details.items() if _PERIMETER_IP.fullmatch(name)]
    heading = "New IP addresses were discovered in the network perimeter:"
    return [heading, *found] if found else []


#: Kind whose documented text has several lines -> these lines.
MULTILINE_TEXTS: Mapping[str, Callable[[FlatDetails], list[str]]] = {
    "security_issue": _security_issue,
    **dict.fromkeys(("vuln", "vuln_high", "vuln_medium", "vuln_low"), _vulnerability),
    "new_scope_object_ips": _perimeter,
}

"""The texts of notices: the producer's own, the documented one, or one that follows those.

Documented word for word are `create_user`, `security_issue` and `vuln`. Every other kind gets its
summary as a sentence, then its facts, one a line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_app.domain.alerts import NoticeAlert
from stream_app.domain.messages import Message

Details = Mapping[str, str]
#: Of every message, but no facts of the notice: they stand in its first and last lines.
COMMON = ("client_name", "cloud", "notification_type")
#: Words that are written in capitals.
ABBREVIATIONS = frozenset({"api", "id", "ip", "ips", "uri", "url"})


def render_notice(alert: NoticeAlert) -> Message:
    """Return the message of a notice; equal alerts give equal messages."""
    notice = alert.notice
    common = dict(zip(COMMON, (alert.client_name, alert.cloud, notice.kind), strict=True))
    return Message(
        title=notice.summary,
        description=notice.description or _description(alert),
        details={**common, **{k: v for k, v in notice.details.items() if k not in common}},
    )


def _description(alert: NoticeAlert) -> str:
    notice = alert.notice
    make = TEXTS.get(notice.kind)
    lines = make(notice.details) if make else []
    lines = [
        f"Notification type: {notice.kind}",
        "",
        *(lines or _facts(notice.summary, notice.details)),
        "",
        f"Client: {alert.client_name}",
        f"Cloud: {alert.cloud}",
    ]
    return "\n".join(lines)


def _user_added(details: Details) -> list[str]:
    """Return the documented sentence; nothing when a part of it is missing."""
    user, role = _person(details, "user"), details.get("user_role")
    creator = _person(details, "created_by")
    if not (user and role and creator):
        return []
    return [
        f"A new user {user} with the role {role} was added to the company account by {creator}."
    ]


def _person(details: Details, prefix: str) -> str:
    name, email = (details.get(f"{prefix}_{part}") for part in ("name", "email"))
    return f"{name} <{email}>" if name and email else ""


def _security_issue(details: Details) -> list[str]:
    return _issue(details, "security_issue", "security issue", ("Host", "host"), ("Risk", "risk"))


def _vulnerability(details: Details) -> list[str]:
    return _issue(details, "vuln", "vulnerability", ("Domain", "domain"), ("Threat", "threat"))


def _issue(
    details: Details, prefix: str, what: str, host: tuple[str, str], risk: tuple[str, str]
) -> list[str]:
    """Return the documented lines, also those without a value; nothing without any issue."""
    if not any(name.startswith(f"{prefix}_") for name in details):
        return []
    rows = (
        ("ID", "id"),
        ("Title", "title"),
        host,
        ("Path", "path"),
        ("Method", "method"),
        ("Discovered by", "discovered_by"),
        ("Parameter", "parameter"),
        ("Type", "type"),
        risk,
    )
    return [
        f"New {what} was detected in your system.",
        "",
        *(f"{label}: {details.get(f'{prefix}_{name}', '')}" for label, name in rows),
        "",
        f"More details: {details.get(f'{prefix}_link', '')}",
        "",
    ]


def _facts(summary: str, details: Details) -> list[str]:
    sentence = summary.strip()
    while sentence.startswith("[") and "]" in sentence:
        sentence = sentence.partition("]")[2].lstrip()
    sentence = sentence or summary.strip()
    facts = [f"{_label(name)}: {text}" for name, text in details.items() if name not in COMMON]
    end = "" if sentence.endswith((".", "!", "?", ":")) else "."
    return [f"{sentence}{end}", *([""] if facts else []), *facts]


def _label(name: str) -> str:
    words = [word.upper() if word in ABBREVIATIONS else word for word in name.split("_")]
    text = " ".join(word for word in words if word)
    return text[:1].upper() + text[1:]


TEXTS: Mapping[str, Callable[[Details], list[str]]] = {
    "create_user": _user_added,
    "security_issue": _security_issue,
    **dict.fromkeys(("vuln", "vuln_high", "vuln_medium", "vuln_low"), _vulnerability),
}

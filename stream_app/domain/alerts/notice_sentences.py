"""One-sentence texts of notices: the documented one of a new user, and others modelled on it.

Each sentence says what happened to what, and who did it. Details that a notice lacks are left out
of its sentence. A notice without its subject has no sentence: its details are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.catalog.roles import role_name

FlatDetails = Mapping[str, str]
#: Details of every message. They are not listed, since its first and last lines show them.
COMMON_DETAILS = ("client_name", "cloud", "notification_type")
#: Words that are written in capitals.
ABBREVIATIONS = frozenset({"api", "id", "ip", "ips", "uri", "url"})
#: Fields that name who did it.
ACTOR_FIELDS = ("actor", "created_by", "updated_by", "deleted_by")
#: Type of integration -> its name.
TYPE_NAMES = {"opsgenie": "Opsgenie"}
SENTENCE_ENDS = (".", "!", "?")
CAN_BE_SENT_AGAIN = "they are dead letters and can be sent again."
#: A length of time. Anybody may send such a notice, and Python reads no number of 5,000 digits.
_SECONDS = re.compile(r"[1-9][0-9]{0,8}")


def user_added(details: FlatDetails) -> str:
    """Return the documented sentence. Older, flat records have just `email` and `role`."""
    user = _person(details, "user") or details.get("email", "")
    role = details.get("user_role") or details.get("role", "")
    creator = _actor(details)
    if not (user and role and creator):
        return ""
    return (
        f"A new user {user} with the role {role_name(role)} was added to the company account "
        f"by {creator}."
    )


def summary_and_details(summary: str, details: FlatDetails) -> list[str]:
    """Return the lines of a notice without a sentence: its summary, then one detail per line."""
    sentence = summary.strip()
    while sentence.startswith("[") and "]" in sentence:
        sentence = sentence.partition("]")[2].lstrip()
    sentence = sentence or summary.strip()
    listed = [
        f"{_label(name)}: {text}" for name, text in details.items() if name not in COMMON_DETAILS
    ]
    return [_with_full_stop(sentence, (*SENTENCE_ENDS, ":")), *([""] if listed else []), *listed]


def _with_full_stop(text: str, ends: tuple[str, ...] = SENTENCE_ENDS) -> str:
    """Return a sentence with a full stop, unless it has an end already."""
    return text if text.endswith(ends) else f"{text}."


def _person(details: FlatDetails, prefix: str) -> str:
    """Return `Name <address>`, or the part that the notice has; a person may be a plain text."""
    name, email = (details.get(f"{prefix}_{part}", "") for part in ("name", "email"))
    if name and email:
        return f"{name} <{email}>"
    return name or email or details.get(prefix, "")


def _actor(details: FlatDetails) -> str:
    return next((found for name in ACTOR_FIELDS if (found := _person(details, name))), "")


def _by(details: FlatDetails) -> str:
    actor = _actor(details)
    return f" by {actor}" if actor else ""


def _thing(details: FlatDetails, noun: str) -> str:
    """Return `the vpatch rule (ID 932)`, `the application "Blog" (ID 8)`; empty if unnamed."""
    kind, number = (details.get(f"{noun}_{part}", "") for part in ("type", "id"))
    name = details.get(f"{noun}_name") or details.get(f"{noun}_title", "")
    if not (name or number):
        return ""
    kind = TYPE_NAMES.get(kind, kind)
    words = ("the", kind, noun, f'"{name}"' if name else "", f"(ID {number})" if number else "")
    return " ".join(word for word in words if word)


def _subject(details: FlatDetails, noun: str) -> str:
    """Return the thing as the first words of a sentence."""
    thing = _thing(details, noun)
    return thing[:1].upper() + thing[1:]


def _was(details: FlatDetails, *, noun: str, done: str) -> str:
    """Return the sentence that a thing was created, updated, deleted or disabled."""
    subject = _subject(details, noun)
    return f"{subject} was {done}{_by(details)}." if subject else ""


def _role_changed(details: FlatDetails) -> str:
    user, role = _person(details, "user"), details.get("user_role", "")
    if not (user and role):
        return ""
    old = details.get("user_old_role", "")
    change = f"from {role_name(old)} to" if old else "to"
    return f"The role of the user {user} was changed {change} {role_name(role)}{_by(details)}."


def _user_deleted(details: FlatDetails) -> str:
    user, role = _person(details, "user"), details.get("user_role", "")
    if not user:
        return ""
    role = f" with the role {role_name(role)}" if role else ""
    return f"The user {user}{role} was deleted from the company account{_by(details)}."


def _application_renamed(details: FlatDetails) -> str:
    name, old = details.get("application_name", ""), details.get("application_old_name", "")
    if not (name and old):
        return ""
    subject = _subject({**details, "application_name": old}, "application")
    return f'{subject} was renamed to "{name}"{_by(details)}.'


def _integration_broken(details: FlatDetails) -> str:
    subject = _subject(details, "integration")
    failed, total, hours = (details.get(name) for name in ("failed", "total", "window_hours"))
    figures = f": {failed} of {total} requests of the last {hours} hours failed"
    end = figures + _last_failure(details) if failed and total and hours else ""
    if not subject:
        return ""
    return (
        f"{subject} was disabled because of delivery errors{end}. It gets no alerts until it is "
        "enabled again."
    )


def _last_failure(details: FlatDetails) -> str:
    status, reason = details.get("last_status", ""), details.get("last_reason", "")
    answer = f"with HTTP {status}" if status else "without a usable answer"
    return f", the last one {answer} ({reason.replace('_', ' ')})" if reason else ""


def _specification_not_updated(details: FlatDetails) -> str:
    subject = _subject(details, "specification")
    source, error = details.get("specification_uri", ""), details.get("error", "").rstrip()
    if not subject:
        return ""
    source = f" from {source}" if source else ""
    return _with_full_stop(f"{subject} was not updated{source}{f': {error}' if error else ''}")


def _held_back(details: FlatDetails) -> str:
    thing = _thing(details, "integration")
    if not thing:
        return ""
    return f"Alerts of {thing} are held back because too many wait for it: {CAN_BE_SENT_AGAIN}"


def _too_old(details: FlatDetails) -> str:
    age = details.get("max_age_seconds", "").removesuffix(".0")
    if not _SECONDS.fullmatch(age):
        return ""
    return f"Alerts older than {period_text(int(age))} were not sent: {CAN_BE_SENT_AGAIN}"


def _label(name: str) -> str:
    words = [word.upper() if word in ABBREVIATIONS else word for word in name.split("_")]
    text = " ".join(word for word in words if word)
    return text[:1].upper() + text[1:]


#: Kind -> its sentence; empty if the notice lacks the subject.
SENTENCES: Mapping[str, Callable[[FlatDetails], str]] = {
    "create_user": user_added,
    "update_user": _role_changed,
    "delete_user": _user_deleted,
    "disable_integration": partial(_was, noun="integration", done="disabled"),
    "delete_integration": partial(_was, noun="integration", done="deleted"),
    "integration_broken": _integration_broken,
    "create_application": partial(_was, noun="application", done="created"),
    "update_application": _application_renamed,
    "delete_application": partial(_was, noun="application", done="deleted"),
    "spec_update_failed": _specification_not_updated,
    "rule_create": partial(_was, noun="rule", done="created"),
    "rule_update": partial(_was, noun="rule", done="updated"),
    "rule_delete": partial(_was, noun="rule", done="deleted"),
    "trigger_create": partial(_was, noun="trigger", done="created"),
    "trigger_update": partial(_was, noun="trigger", done="updated"),
    "trigger_delete": partial(_was, noun="trigger", done="deleted"),
    # Our own kinds.
    "deliveries_overflowed": _held_back,
    "alerts_stale": _too_old,
}

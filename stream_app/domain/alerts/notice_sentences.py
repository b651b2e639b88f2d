"""What a notice tells, as a sentence: the documented one of a new user, and others like it.

The documentation shows the text of a new user only; it gives the others their form: what has
happened to what, and by whom. Facts that a notice lacks are left out of its sentence; without its
subject there is no sentence, and the notice's facts are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.catalog.roles import role_name

Details = Mapping[str, str]
#: Of every message, but no facts of the notice: they stand in its first and last lines.
COMMON = ("client_name", "cloud", "notification_type")
#: Words that are written in capitals.
ABBREVIATIONS = frozenset({"api", "id", "ip", "ips", "uri", "url"})
#: Who did it, by the names that notices have for it.
ACTORS = ("actor", "created_by", "updated_by", "deleted_by")
#: Types that have a name.
NAMES = {"opsgenie": "Opsgenie"}
#: What a sentence ends with.
ENDS = (".", "!", "?")
DEAD_LETTERS = "they are dead letters and can be sent again."


def user_added(details: Details) -> str:
    """Return the documented sentence; an older, flat record names user and role alone."""
    user = _person(details, "user") or details.get("email", "")
    role = details.get("user_role") or details.get("role", "")
    creator = _actor(details)
    if not (user and role and creator):
        return ""
    return (
        f"A new user {user} with the role {role_name(role)} was added to the company account "
        f"by {creator}."
    )


def facts(summary: str, details: Details) -> list[str]:
    """Return the lines of a notice without a sentence: its summary, and each fact in a line."""
    sentence = summary.strip()
    while sentence.startswith("[") and "]" in sentence:
        sentence = sentence.partition("]")[2].lstrip()
    sentence = sentence or summary.strip()
    found = [f"{_label(name)}: {text}" for name, text in details.items() if name not in COMMON]
    return [_ended(sentence, (*ENDS, ":")), *([""] if found else []), *found]


def _ended(text: str, ends: tuple[str, ...] = ENDS) -> str:
    """Return a sentence with its full stop; one of a producer may have its end already."""
    return text if text.endswith(ends) else f"{text}."


def _person(details: Details, prefix: str) -> str:
    """Return `Name <address>`, or what there is of it; a plain text names the person, too."""
    name, email = (details.get(f"{prefix}_{part}", "") for part in ("name", "email"))
    if name and email:
        return f"{name} <{email}>"
    return name or email or details.get(prefix, "")


def _actor(details: Details) -> str:
    return next((found for name in ACTORS if (found := _person(details, name))), "")


def _by(details: Details) -> str:
    actor = _actor(details)
    return f" by {actor}" if actor else ""


def _thing(details: Details, noun: str) -> str:
    """Return `the vpatch rule (ID 932)`, `the application "Blog" (ID 8)`; empty: none is named."""
    kind, number = (details.get(f"{noun}_{part}", "") for part in ("type", "id"))
    name = details.get(f"{noun}_name") or details.get(f"{noun}_title", "")
    if not (name or number):
        return ""
    kind = NAMES.get(kind, kind)
    words = ("the", kind, noun, f'"{name}"' if name else "", f"(ID {number})" if number else "")
    return " ".join(word for word in words if word)


def _done(details: Details, *, noun: str, what: str) -> str:
    """Return that something was created, updated, deleted or disabled."""
    thing = _thing(details, noun)
    return f"T{thing[1:]} was {what}{_by(details)}." if thing else ""


def _role_changed(details: Details) -> str:
    user, role = _person(details, "user"), details.get("user_role", "")
    if not (user and role):
        return ""
    old = details.get("user_old_role", "")
    change = f"from {role_name(old)} to" if old else "to"
    return f"The role of the user {user} was changed {change} {role_name(role)}{_by(details)}."


def _user_deleted(details: Details) -> str:
    user, role = _person(details, "user"), details.get("user_role", "")
    if not user:
        return ""
    role = f" with the role {role_name(role)}" if role else ""
    return f"The user {user}{role} was deleted from the company account{_by(details)}."


def _application_renamed(details: Details) -> str:
    name, old = details.get("application_name", ""), details.get("application_old_name", "")
    if not (name and old):
        return ""
    thing = _thing({**details, "application_name": old}, "application")
    return f'T{thing[1:]} was renamed to "{name}"{_by(details)}.'


def _integration_broken(details: Details) -> str:
    thing = _thing(details, "integration")
    failed, total, hours = (details.get(name) for name in ("failed", "total", "window_hours"))
    figures = f": {failed} of {total} requests of the last {hours} hours failed"
    end = figures if failed and total and hours else ""
    return f"T{thing[1:]} was disabled because of delivery errors{end}." if thing else ""


def _specification_not_updated(details: Details) -> str:
    thing = _thing(details, "specification")
    source, error = details.get("specification_uri", ""), details.get("error", "").rstrip()
    if not thing:
        return ""
    source = f" from {source}" if source else ""
    return _ended(f"T{thing[1:]} was not updated{source}{f': {error}' if error else ''}")


def _held_back(details: Details) -> str:
    thing = _thing(details, "integration")
    if not thing:
        return ""
    return f"Alerts of {thing} are held back because too many wait for it: {DEAD_LETTERS}"


def _too_old(details: Details) -> str:
    age = details.get("max_age_seconds", "").removesuffix(".0")
    if not age.isdecimal() or age == "0":
        return ""
    return f"Alerts older than {period_text(int(age))} were not sent: {DEAD_LETTERS}"


def _label(name: str) -> str:
    words = [word.upper() if word in ABBREVIATIONS else word for word in name.split("_")]
    text = " ".join(word for word in words if word)
    return text[:1].upper() + text[1:]


#: Kind -> its sentence.
SENTENCES: Mapping[str, Callable[[Details], str]] = {
    "create_user": user_added,
    "update_user": _role_changed,
    "delete_user": _user_deleted,
    "disable_integration": partial(_done, noun="integration", what="disabled"),
    "delete_integration": partial(_done, noun="integration", what="deleted"),
    "integration_broken": _integration_broken,
    "create_application": partial(_done, noun="application", what="created"),
    "update_application": _application_renamed,
    "delete_application": partial(_done, noun="application", what="deleted"),
    "spec_update_failed": _specification_not_updated,
    "rule_create": partial(_done, noun="rule", what="created"),
    "rule_update": partial(_done, noun="rule", what="updated"),
    "rule_delete": partial(_done, noun="rule", what="deleted"),
    "trigger_create": partial(_done, noun="trigger", what="created"),
    "trigger_update": partial(_done, noun="trigger", what="updated"),
    "trigger_delete": partial(_done, noun="trigger", what="deleted"),
    # This project's own.
    "deliveries_overflowed": _held_back,
    "alerts_stale": _too_old,
}

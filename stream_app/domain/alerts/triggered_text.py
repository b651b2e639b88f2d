"""The texts of notices that a trigger tells of, word for word as the product's pages show them.

What is odd in them is documented: two of the prefixes are in lower case, and the texts of APIs
name the client above their details, indented. Where pages differ:

- Of a denylisted address the webhook's page and the page of IP lists show two texts. Taken is the
  webhook's: its title has the form of the other triggers' (`[Wallarm] Trigger: …`), it is what the
  documented record holds, and the other's line breaks are those of its page.
- The texts of APIs and of stolen credentials are documented without a line that names the
  trigger. They stay as they are; a trigger with filters adds its line and its clauses, since
  nobody could tell whose clauses they are. The details name the trigger always.
- Of changes of endpoints only the new one is documented; the others follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.alerts.alert import NoticeAlert, NoticeTrigger
from stream_app.domain.alerts.notice_sentences import Details, facts, user_added
from stream_app.domain.alerts.threshold_text import clause_lines, trigger_line
from stream_app.domain.catalog.filter_values import (
    APPLICATION_ID_FIELDS,
    EXCLUDED,
    UNUSED,
    normal_change_type,
    normal_deviation_type,
)

DENYLIST = 'You can review blocked IP addresses in the "Denylist" section of Wallarm Console.'
#: What has become of an endpoint -> title and sentence.
CHANGES: Mapping[str, tuple[str, str]] = {
    "added": (
        "A new endpoint has been discovered in your API",
        "The new {endpoint} endpoint has been discovered in your API.",
    ),
    "changed": (
        "An endpoint has been changed in your API",
        "The {endpoint} endpoint has been changed in your API.",
    ),
    **dict.fromkeys(
        (UNUSED, EXCLUDED),
        (
            "An unused endpoint has been discovered in your API",
            "The unused {endpoint} endpoint has been discovered in your API.",
        ),
    ),
}


@dataclass(frozen=True)
class Text:
    """A text in its parts: `lines` about what has happened, then the trigger, then the footer.

    `has_trigger_line` says whether the documented text names the trigger, directly below `lines`
    and followed by `after_trigger`; `has_footer`, whether it ends with client and cloud.
    """

    title: str
    lines: Sequence[str]
    has_trigger_line: bool = True
    after_trigger: str = ""
    has_footer: bool = True


def triggered_text(alert: NoticeAlert, trigger: NoticeTrigger) -> tuple[str, str]:
    """Return title and description of a notice that a trigger tells of."""
    text = TEXTS[alert.notice.kind](alert) if alert.notice.kind in TEXTS else None
    if text is None and alert.notice.description:
        return alert.notice.summary, _below(alert.notice.description, alert, trigger)
    if text is None:
        listed = facts(alert.notice.summary, alert.notice.details)
        text = Text(alert.notice.summary, [*listed, ""])
    lines = [f"Notification type: {alert.notice.kind}", "", *text.lines]
    if text.has_trigger_line:
        after = f" {text.after_trigger}" if text.after_trigger else ""
        lines += [f"{trigger_line(trigger.name)}{after}", ""]
    elif trigger.filters:
        lines += ["", trigger_line(trigger.name), ""]
    else:
        lines += [""]
    lines += clause_lines(trigger.filters, alert.applications)
    if text.has_footer:
        lines += [f"Client: {alert.client_name}", f"Cloud: {alert.cloud}"]
    return text.title, "\n".join(lines).rstrip("\n")


def _below(description: str, alert: NoticeAlert, trigger: NoticeTrigger) -> str:
    """Return the producer's own text with the trigger below it."""
    clauses = clause_lines(trigger.filters, alert.applications)
    lines = [description.rstrip(), "", trigger_line(trigger.name), "", *clauses]
    return "\n".join(lines).rstrip("\n")


def _user_added(alert: NoticeAlert) -> Text | None:
    sentence = user_added(alert.notice.details)
    title = "[Wallarm] Trigger: New user was added to the company account"
    return Text(title, [sentence]) if sentence else None


def _ip_denylisted(alert: NoticeAlert) -> Text | None:
    details = alert.notice.details
    ip, until, reason = (details.get(name, "") for name in ("ip", "expire_at", "reason"))
    if not ip:
        return None
    until = f" until {until}" if until else ""
    reason = f" for the reason {reason}" if reason else ""
    application = _application(alert)
    return Text(
        "[Wallarm] Trigger: New IP address was denylisted",
        [f"IP address {ip} was denylisted{until}{reason}. {DENYLIST}"],
        after_trigger=f"The IP is blocked for the application {application}." * bool(application),
    )


def _endpoint_changed(alert: NoticeAlert) -> Text | None:
    details = alert.notice.details
    endpoint, change = _endpoint(details), normal_change_type(details.get("change_type", ""))
    if not endpoint or change not in CHANGES:
        return None
    title, sentence = CHANGES[change]
    names = ("domain", "endpoint_path", "http_method", "change_type", "link")
    return _api_text(alert, title, sentence.format(endpoint=endpoint), names)


def _rogue_endpoint(alert: NoticeAlert) -> Text | None:
    details = alert.notice.details
    endpoint, deviation = (
        _endpoint(details),
        normal_deviation_type(details.get("type_of_endpoint", "")),
    )
    if not endpoint or not deviation:
        return None
    names = ("api_host", "endpoint_path", "http_method", "type_of_endpoint", "link")
    return _api_text(
        alert,
        f"A new {deviation} endpoint has been discovered in your API",
        f"The new {endpoint} {deviation} endpoint has been discovered in your API.",
        (*names, "specification_name"),
    )


def _api_text(alert: NoticeAlert, title: str, sentence: str, names: Sequence[str]) -> Text:
    shown = {"application": _application(alert)}
    shown |= {name: alert.notice.details.get(name, "") for name in names}
    lines = [
        sentence,
        "",
        f"    Client: {alert.client_name}",
        f"    Cloud: {alert.cloud}",
        "",
        "    Details:",
        "",
        *(f"      {name}: {value}" for name, value in shown.items() if value),
    ]
    return Text(f"[wallarm] {title}", lines, has_trigger_line=False, has_footer=False)


def _stolen_credentials(alert: NoticeAlert) -> Text | None:
    details = alert.notice.details
    accounts = details.get("compromised_accounts") or details.get("accounts")
    if not accounts:
        return None
    url = details.get("url") or details.get("URL")
    rows = (("Associated URL", url), ("Link", details.get("link")))
    lines = [
        "Stolen credentials have been detected in your incoming traffic:",
        "",
        f"Compromised accounts: {accounts}",
        *(f"{label}: {value}" for label, value in rows if value),
    ]
    return Text("[wallarm] Stolen credentials detected", lines, has_trigger_line=False)


def _endpoint(details: Details) -> str:
    """Return `GET example.com/users`; empty: a part of it is missing."""
    host = next((details[n] for n in ("domain", "api_host", "host") if details.get(n)), "")
    method, path = details.get("http_method"), details.get("endpoint_path")
    return f"{method} {host}{path}" if method and host and path else ""


def _application(alert: NoticeAlert) -> str:
    """Return the application's name as the notice has it, or else that of its id.

    A number in the place of a name is an id, unless an application has it as its name.
    """
    details, known = alert.notice.details, alert.applications
    taken = {name.strip() for name in known.values()}
    ids = {number: name for number, name in known.items() if number not in taken}
    for place in ("application", "application_name", "applications"):
        if said := details.get(place):
            return _named(said, ids)
    return _named(
        next((details[name] for name in APPLICATION_ID_FIELDS if details.get(name)), ""), known
    )


def _named(listed: str, names: Mapping[str, str]) -> str:
    """Return a list, as details have it, with names in the place of the ids in it."""
    return ", ".join(names.get(part.strip(), part) for part in listed.split(", "))


TEXTS: Mapping[str, Callable[[NoticeAlert], Text | None]] = {
    "create_user": _user_added,
    "ip_blocked": _ip_denylisted,
    "api_structure_changed": _endpoint_changed,
    "api_comparison_result": _rogue_endpoint,
    "compromised_logins": _stolen_credentials,
}

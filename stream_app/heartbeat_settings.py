"""The settings of the heartbeat that is pinged, and which of them belong together.

No error shows a token or a URL: a plain URL's path or query is often all that is secret about it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from stream_app.domain.foreign_text.hidden_keys import hide_keys
from stream_app.domain.foreign_text.network_names import is_loopback
from stream_app.domain.foreign_text.printable import quoted
from stream_app.setting_groups import DeliverySettings, Group

JSM_OPS_PATH = "/jsm/ops/api"
JSM_API = f"https://api.atlassian.com{JSM_OPS_PATH}"
#: Most characters of a heartbeat's name, by Opsgenie's published description.
NAME_LIMIT = 200
#: Most characters of a wrong value in its error.
_SHOWN = 100
_PREFIX = "STREAM_APP_HEARTBEAT__"
_SANDBOX = "STREAM_APP_DELIVERY__SANDBOX_URL"
#: Target -> the settings that it needs, and those that it takes besides.
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "opsgenie": (("name", "integration_id"), ()),
    "jsm": (("name", "cloud_id", "team_id", "email", "api_token"), ("jsm_api",)),
    "url": (("url", "url_hosts"), ()),
}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_EMAIL = re.compile(r"[\x21-\x39\x3b-\x7e]+@[\x21-\x39\x3b-\x7e]+")
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?|[0-9a-f:]{2,45}")


class HeartbeatSettings(Group):
    """The heartbeat that tells a service that the pager lives."""

    target: Literal["opsgenie", "jsm", "url"] | None = Field(
        None,
        description="What a notifier pings once a minute while the whole way of an alert works: "
        "a heartbeat of Opsgenie (`opsgenie`) or JSM (`jsm`), or a plain `url`; unset: nothing",
    )
    name: str | None = Field(None, description="For `opsgenie` and `jsm`: name of the heartbeat")
    integration_id: int | None = Field(
        None, ge=1, description="For `opsgenie`: integration of the configuration whose key pings"
    )
    cloud_id: str | None = Field(None, description="For `jsm`: cloud id of the Atlassian site")
    team_id: str | None = Field(None, description="For `jsm`: id of the heartbeat's team")
    email: str | None = Field(None, description="For `jsm`: e-mail of the Atlassian account")
    api_token: SecretStr | None = Field(
        None, description="For `jsm`: API token of that account, not an integration's key"
    )
    jsm_api: str = Field(
        JSM_API,
        description=f"For `jsm`: base URL of its operations API; another one only for a sandbox: "
        f"that of `{_SANDBOX}`, with `{JSM_OPS_PATH}`",
    )
    url: SecretStr | None = Field(
        None,
        description="For `url`: address of a dead man's switch, which gets a GET; `http://` only "
        "on loopback. It counts as a secret",
    )
    url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="For `url`: hosts that it may name, with commas, such as `hc-ping.com`"
    )

    @field_validator("url_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
        for number, host in enumerate(hosts, start=1):
            if not _HOST.fullmatch(host):
                # It may be the whole address, which is a secret.
                raise ValueError(
                    f"the host {number} of {len(hosts)} (hidden) is none: write names without "
                    "https://, port and path, such as hc-ping.com"
                )
        return hosts


def heartbeat_problem(
    heartbeat: HeartbeatSettings, delivery: DeliverySettings, *, dry_run: bool
) -> str | None:
    """Return what is wrong with the heartbeat's settings, or among them; None if nothing is."""
    problems = (
        *_empty_problems(heartbeat),
        *_combination_problems(heartbeat, dry_run=dry_run),
        *_value_problems(heartbeat),
        *_address_problems(heartbeat, delivery),
    )
    return next(iter(problems), None)


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a plain URL; None if it is none, or two parsers could differ on it."""
    if not re.fullmatch(r"[\x21-\x7e]+", url) or set(url) & set('"<>\\^`{|}'):
        return None
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_good and not parts.netloc.endswith(":") else None


def _combination_problems(heartbeat: HeartbeatSettings, *, dry_run: bool) -> Iterator[str]:
    given = [
        name
        for name, field in HeartbeatSettings.model_fields.items()
        if name != "target" and getattr(heartbeat, name) != field.default
    ]
    target = heartbeat.target
    if target is None:
        if given:
            yield (
                f"{_name(given[0])} is set, but {_name('target')} is not: set that to opsgenie, "
                "jsm or url, or unset the other"
            )
        return
    place = f"{_name('target')} is {target}"
    needed, optional = _FIELDS[target]
    if missing := [name for name in needed if name not in given]:
        yield f"{place}: set {' and '.join(map(_name, missing))}, too"
    if lost := [name for name in given if name not in (*needed, *optional)]:
        yield f"{place}: {_name(lost[0])} is not used then: unset it, or set another target"
    if dry_run:
        yield (
            f"{place}, but STREAM_APP_DRY_RUN is on: a dry run sends nothing to anybody, so it "
            "must not say that the pager lives: unset one of them"
        )


def _empty_problems(heartbeat: HeartbeatSettings) -> Iterator[str]:
    for field in HeartbeatSettings.model_fields:
        value = getattr(heartbeat, field)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and not text.strip():
            yield f"{_name(field)} is empty: give it a value, or leave the variable out"


def _value_problems(heartbeat: HeartbeatSettings) -> Iterator[str]:
    name = heartbeat.name
    if name is not None and _is_uuid(name):
        yield (
            f"{_name('name')}: (hidden) looks like a key, and a name is shown in logs: give the "
            "heartbeat's name. The key of an integration goes into the configuration "
            f"({_name('integration_id')}), an API token into {_name('api_token')}, and an address "
            f"into {_name('url')}"
        )
    elif name is not None and (why := _name_problem(name)) is not None:
        yield f"{_name('name')}: {_shown(name)} {why}: write it as the service shows it"
    for field in ("cloud_id", "team_id"):
        value = getattr(heartbeat, field)
        if value is not None and not _ID.fullmatch(value):
            yield (
                f"{_name(field)}: {_shown(value)} is no id: give letters, digits and hyphens, "
                "such as 4b26961a-a837-49d2-a1fe-0973013e3c3b"
            )
    if heartbeat.email is not None and not _EMAIL.fullmatch(heartbeat.email):
        yield (
            f"{_name('email')}: {_shown(heartbeat.email)} is no e-mail address: give that of the "
            "account that the API token belongs to"
        )
    token = "" if heartbeat.api_token is None else heartbeat.api_token.get_secret_value().strip()
    if heartbeat.api_token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
        yield (
            f"{_name('api_token')}: (hidden) is no API token: copy it again, without other "
            "characters in it"
        )


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name.strip())
    except ValueError:
        return False
    return True


def _name_problem(name: str) -> str | None:
    """Return what is wrong with a heartbeat's name.

    A name that is only dots cannot be sent in a path: it is a step to another folder.
    """
    if not name.isprintable():
        return "has characters that cannot be printed"
    if name != name.strip():
        return "has blanks around it"
    if len(name) > NAME_LIMIT:
        return f"has more than {NAME_LIMIT} characters"
    return "cannot stand in an address" if name in {".", ".."} else None


def _address_problems(heartbeat: HeartbeatSettings, delivery: DeliverySettings) -> Iterator[str]:
    if heartbeat.target == "jsm":
        is_real = heartbeat.jsm_api.rstrip("/") == JSM_API
        if not is_real and not _is_sandbox(heartbeat.jsm_api, delivery.sandbox_url):
            yield (
                f"{_name('jsm_api')}: {_shown(heartbeat.jsm_api)} is not allowed: unset it for "
                f"{JSM_API}, or give {_SANDBOX} followed by {JSM_OPS_PATH}"
            )
        yield from _scale_problems("jsm", delivery, is_local=not is_real)
    if heartbeat.target == "url" and heartbeat.url is not None:
        parts = split_url(heartbeat.url.get_secret_value().strip())
        if (why := _url_problem(parts, heartbeat.url_hosts)) is not None:
            yield f"{_name('url')}: (hidden) {why}"
        host = "" if parts is None else parts.hostname or ""
        yield from _scale_problems("url", delivery, is_local=is_loopback(host))


def _url_problem(parts: SplitResult | None, hosts: tuple[str, ...]) -> str | None:
    if parts is None:
        return "is no address: give one such as https://hc-ping.com/…, percent-encoded"
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        return "must have no user and password in it: give an address that needs none"
    if "#" in parts.geturl():
        return "must have no # in it: nothing behind it would be sent"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return "must begin with https://, or with http:// for a host on loopback"
    if host not in hosts:
        return (
            f"names a host that is not one of {_name('url_hosts')} ({', '.join(hosts)}): "
            "correct either"
        )
    return None


def _is_sandbox(api: str, sandbox_url: str | None) -> bool:
    """Tell whether JSM's API of a sandbox is meant, the one that the setting allows."""
    parts, allowed = split_url(api.rstrip("/")), split_url(sandbox_url or "")
    return (
        parts is not None
        and allowed is not None
        and parts.geturl().lower() == f"http://{allowed.netloc}{JSM_OPS_PATH}".lower()
        and is_loopback(parts.hostname or "")
    )


def _scale_problems(target: str, delivery: DeliverySettings, *, is_local: bool) -> Iterator[str]:
    if delivery.retry_scale != 1 and not is_local:
        yield (
            f"{_name('target')} is {target}, and STREAM_APP_DELIVERY__RETRY_SCALE is "
            f"{delivery.retry_scale:g}: a real service is pinged once a minute and never faster: "
            "unset the scale, or name an address on loopback"
        )


def _shown(value: str) -> str:
    """Return a value for an error; somebody may have put a token or a whole address there."""
    shown = hide_keys(re.sub(r"(://[^/?#]*)[/?#].+", r"\1/…", value))
    return quoted(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")


def _name(field: str) -> str:
    return f"{_PREFIX}{field.upper()}"

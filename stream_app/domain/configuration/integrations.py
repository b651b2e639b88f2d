"""Integrations: where alerts are posted, with which key, and which notices are selected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from stream_app.domain.configuration.alert_options import (
    NO_OPTIONS,
    AlertOptions,
    read_alert_options,
)
from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.fields import (
    HIDDEN,
    Fields,
    Problems,
    hide_key,
)
from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    RepeatOptions,
    read_repeat_options,
)

TYPES = ("opsgenie",)
#: The documented address of an integration that names none: Opsgenie in the US.
DEFAULT_API = "https://api.opsgenie.com/v2/alerts"
EVENTS = (
    "system",
    "rules_and_triggers",
    "security_issue_critical",
    "security_issue_high",
    "security_issue_medium",
    "security_issue_low",
    "security_issue_info",
)
_EVENT = "{event: system, active: true}"
_TARGET = "{api: https://api.eu.opsgenie.com/v2/alerts, token: KEY}"
#: What a key begins with that names an environment variable or a file.
ENV_PREFIX, FILE_PREFIX = "env:", "file:"
KEY_VARIABLE_PREFIX = "STREAM_APP_KEY_"
#: The forms of a key in a record: sealed, or named. It never stands there in the clear.
_STORED_KEY = re.compile(
    r"sealed:v1:[A-Za-z0-9_=-]+|env:STREAM_APP_KEY_(?!DIR\Z)[A-Z0-9_]+|file:[^\s]+"
)


class Integration(msgspec.Struct, frozen=True, gc=False):
    """A configured integration.

    `key` is sealed, or names an environment variable or a file: see `stream_app.key_ring`.
    `events` holds the active subscriptions, `alert` the options of all alerts, and `repeats` how an
    attack of many windows is told. `updated_at`, `epoch` and `enabled_at` are Unix ms, 0 if nobody
    has set them. The epoch rises with each new target and each enabling.
    """

    id: int
    client_id: int
    name: str
    active: bool
    type: str
    api: str
    key: str
    events: tuple[str, ...]
    updated_at: int = 0
    epoch: int = 0
    enabled_at: int = 0
    alert: AlertOptions = NO_OPTIONS
    repeats: RepeatOptions = EACH_WINDOW

    def __repr__(self) -> str:
        return f"Integration(id={self.id}, client_id={self.client_id}, name={self.name!r})"

    @property
    def key_context(self) -> str:
        """What the integration's key is bound to."""
        return key_context(self.client_id, self.id, self.api)


def api_host(api: str) -> str:
    """Return the host of an API address, or the address itself if it has none."""
    try:
        return urlsplit(api).hostname or api
    except ValueError:
        return api


def given_api(target: Mapping[str, object]) -> object:
    """Return the address of a target that has not been read yet, or the default address."""
    api = target.get("api")
    return DEFAULT_API if api is None else api


def key_context(client_id: int, integration_id: int, api: str) -> str:
    """Return what an integration's key is bound to: the client, the integration and the host."""
    return f"{client_id}/{integration_id}@{api_host(api)}"


def key_refusal(token: str, client_id: int) -> str | None:
    """Return why a client may not use a named key; None if it may, or if the key is sealed.

    Names begin with the client's id, so that no client's file can name a key of another client.
    """
    if token.startswith(ENV_PREFIX):
        owned, how = f"{ENV_PREFIX}{KEY_VARIABLE_PREFIX}{client_id}_", "rename the variable"
        rest = token.removeprefix(f"{ENV_PREFIX}{KEY_VARIABLE_PREFIX}")
        other = re.match(r"(\d+)_.", rest)
    elif token.startswith(FILE_PREFIX):
        owned, how = f"{FILE_PREFIX}{client_id}/", "move the file"
        rest = token.removeprefix(FILE_PREFIX)
        other = re.match(r"(\d+)/.", rest)
    else:
        return None
    if token.startswith(owned) and len(token) > len(owned):
        return None
    if other:
        return f"{token}: is a key of client {other[1]}, and this one is client {client_id}'s"
    return (
        f"{token}: names of keys begin with their client now: {how} where notifiers run, and write "
        f"{owned}{rest}"
    )


def is_stored_key(text: object) -> bool:
    """Tell whether a text has one of the forms of a key in a record."""
    return isinstance(text, str) and _STORED_KEY.fullmatch(text) is not None


def read_integration(obj: Mapping[str, object]) -> tuple[Integration, Problems]:
    """Build an integration from the API object plus `client_id`; its key is not opened.

    Returns:
        The integration and all its problems, none of which holds a key. With any problem it must
        not be used.
    """
    problems: Problems = []
    fields = Fields(stored_form(obj), problems)
    integration_id, client_id = fields.integer("id", 1), fields.integer("client_id", 1)
    target = fields.child("target", _TARGET, hidden=True)
    integration = Integration(
        id=integration_id,
        client_id=client_id,
        name=fields.text("name"),
        active=fields.boolean("active"),
        type=fields.choice("type", TYPES),
        api=_read_api(target),
        key=_read_key(target),
        events=_read_events(fields),
        updated_at=fields.integer("updated_at", 0, default=0),
        epoch=fields.integer("epoch", 0, default=0),
        enabled_at=fields.integer("enabled_at", 0, default=0),
        alert=read_alert_options(fields),
        repeats=read_repeat_options(fields),
    )
    for key in (fields.obj.get("target"), target.obj.get("token")):
        if not is_stored_key(key):
            hide_key(problems, key)
    return integration, problems


def _read_api(target: Fields) -> str:
    return DEFAULT_API if target.obj.get("api") is None else target.text("api")


def _read_key(target: Fields) -> str:
    token = target.obj.get("token")
    if token is None or token == "":
        target.add_problem(
            "token",
            token,
            "is missing: must be a key, env:STREAM_APP_KEY_<CLIENT>_<NAME> or file:<client>/<name>",
        )
    elif isinstance(token, str) and is_stored_key(token):
        return token
    else:
        target.add_problem(
            "token",
            HIDDEN,
            "the key is neither sealed nor env:STREAM_APP_KEY_<CLIENT>_<NAME> nor "
            "file:<client>/<name>: write the integration with `stream-app apply`, which seals it",
        )
    return ""


def _read_events(fields: Fields) -> tuple[str, ...]:
    active: dict[str, None] = {}
    for item in fields.children("events", _EVENT):
        event = item.choice("event", EVENTS, f", as in {_EVENT}")
        if item.boolean("active"):
            active[event] = None
    return tuple(active)

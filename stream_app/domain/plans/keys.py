"""Keys of integrations in a plan: sealed before they leave the process, kept when not given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from stream_app.domain.configuration.fields import HIDDEN, LEAST_KEY_CHARACTERS, Problems
from stream_app.domain.configuration.integrations import (
    api_host,
    given_api,
    is_stored_key,
    key_context,
    key_refusal,
)
from stream_app.domain.errors import InvalidObjectError, SealingError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_PATH = "target.token"
#: Names of fields that hold a key by their look, wherever they stand in an integration.
_SECRET_NAME = re.compile(
    r"(?i)(^|_)(key|secret|token|password|authorization)$|api_?key|genie_?key"
)
#: Stands for a sealed key in what `get` prints; in a file it means the key that is stored.
SEALED_MARK = "(sealed)"
_FORMS = "must be a key, env:STREAM_APP_KEY_<CLIENT>_<NAME> or file:<client>/<name>"
_REFERENCE_PREFIXES = ("sealed:", "env:", "file:")


class KeyKeeper(Protocol):
    """Seals and opens keys: `stream_app.key_ring.KeyRing`."""

    def seal(self, clear: str, context: str) -> str:
        """Return the sealed key."""

    def open(self, stored: str, context: str) -> str:
        """Return the key that is sealed or named; raise SealingError when it cannot be had."""

    def is_sealed_with_newest(self, clear: str, stored: str, context: str) -> bool:
        """Tell whether sealing anew would change nothing."""


def is_secret_name(name: str) -> bool:
    """Tell whether a field holds a key by the look of its name."""
    return _SECRET_NAME.search(name) is not None


def stored_form(
    record: dict[str, object],
    previous: Mapping[str, object] | None,
    keeper: KeyKeeper,
    problems: Problems,
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the integration's record without a clear key, and the paths that were left out.

    A key that the file does not give is the stored one, as long as the host is the same. An
    address that it does not give is the default, which then stands in the record.
    """
    target = record.get("target")
    if not isinstance(target, dict):
        return record, ()
    target = {**target, "api": given_api(target)}
    clear = target.get("token")
    if clear == SEALED_MARK:
        target, clear = {**target, "token": None}, None
    token = _stored_key(record, target, previous, keeper, problems)
    dropped: list[str] = []
    record = _without_keys({**record, "target": {**target, "token": token}}, "", dropped)
    if isinstance(clear, str) and clear != token and len(clear) >= LEAST_KEY_CHARACTERS:
        problems += [
            InvalidObjectError(path, HIDDEN, "holds the key: take it out")
            for path in _paths_with(record, clear, "")
        ]
    return record, tuple(dropped)


def clear_key(record: Mapping[str, object]) -> str | None:
    """Return the key that stands in an object in the clear; None when there is none."""
    target = record.get("target")
    token = target.get("token") if isinstance(target, dict) else target
    return token if isinstance(token, str) and not is_stored_key(token) else None


def shown_form(record: Mapping[str, object]) -> dict[str, object]:
    """Return an integration's record as it may be shown: no key, sealed or clear, is in it.

    The name of a key (`env:`, `file:`) stays. `stored_form` takes the result as unchanged.
    """
    shown = _without_keys(record, "", [])
    target = shown.get("target")
    if isinstance(target, dict) and "token" in target:
        token = target["token"]
        if not is_stored_key(token) or str(token).startswith("sealed:"):
            shown["target"] = {**target, "token": SEALED_MARK}
    return shown


def _stored_key(
    record: Mapping[str, object],
    target: Mapping[str, object],
    previous: Mapping[str, object] | None,
    keeper: KeyKeeper,
    problems: Problems,
) -> str | None:
    """Return what is to stand for the key; None and a problem when nothing can."""
    token, api = target.get("token"), target.get("api")
    number, client_id = record.get("id"), record.get("client_id")
    kept, kept_api = _previous_key(previous)
    if not isinstance(api, str) or not isinstance(number, int) or not isinstance(client_id, int):
        # A problem of its own, reported with the other fields; the key is not at fault.
        return token if isinstance(token, str) and is_stored_key(token) else "file:unjudged"
    try:
        if token is None or token == "":
            found = _kept_key(kept, kept_api, api)
        else:
            found = _given_key(token, kept, key_context(client_id, number, api), keeper)
    except SealingError as error:
        problems.append(InvalidObjectError(KEY_PATH, HIDDEN, str(error)))
        return None
    if found is not None and (refusal := key_refusal(found, client_id)) is not None:
        problems.append(InvalidObjectError(KEY_PATH, found, refusal.removeprefix(f"{found}: ")))
    return found


def _kept_key(kept: str | None, kept_api: str, api: str) -> str | None:
    if kept is not None and api_host(kept_api) != api_host(api):
        raise SealingError("target.api has another host than before: give the key again")
    return kept


def _given_key(token: object, kept: str | None, context: str, keeper: KeyKeeper) -> str:
    if not isinstance(token, str):
        raise SealingError("must be a text")
    if is_stored_key(token):
        if token.startswith("sealed:") and token != kept:
            keeper.open(token, context)
        return token
    if token.startswith(_REFERENCE_PREFIXES):
        raise SealingError(_FORMS)
    if kept is not None and keeper.is_sealed_with_newest(token, kept, context):
        return kept
    return keeper.seal(token, context)


def _previous_key(previous: Mapping[str, object] | None) -> tuple[str | None, str]:
    target = (previous or {}).get("target")
    if not isinstance(target, dict):
        return None, ""
    token = target.get("token")
    return (token if is_stored_key(token) else None), str(given_api(target))


def _without_keys(obj: Mapping[str, object], path: str, dropped: list[str]) -> dict[str, object]:
    """Copy `obj` without fields that look like keys, except the one that is sealed."""
    kept: dict[str, object] = {}
    for name, value in obj.items():
        here = f"{path}{name}"
        if isinstance(value, dict | list):
            kept[name] = _without_keys_in(value, here, dropped)
        elif (
            here != KEY_PATH
            and isinstance(value, str)
            and _SECRET_NAME.search(name)
            and not is_stored_key(value)
        ):
            dropped.append(here)
        else:
            kept[name] = value
    return kept


def _without_keys_in(value: object, path: str, dropped: list[str]) -> object:
    if isinstance(value, dict):
        return _without_keys(value, f"{path}.", dropped)
    if isinstance(value, list):
        return [_without_keys_in(v, f"{path}[{i}]", dropped) for i, v in enumerate(value)]
    return value


def _paths_with(value: object, clear: str, path: str) -> list[str]:
    """Return where in `value` a text holds `clear`."""
    if isinstance(value, dict):
        return [p for n, v in value.items() for p in _paths_with(v, clear, f"{path}.{n}")]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in _paths_with(v, clear, f"{path}[{i}]")]
    return [path.removeprefix(".")] if isinstance(value, str) and clear in value else []

"""Keys of integrations: they are sealed before they leave the process.

If a file has no key for an integration, the stored one stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import SecretStr

from stream_app.domain.configuration.fields import HIDDEN, LEAST_KEY_CHARACTERS, Problems
from stream_app.domain.configuration.integrations import (
    api_host,
    given_api,
    is_stored_key,
    key_context,
    key_refusal,
)
from stream_app.domain.errors import InvalidObjectError, SealingError
from stream_app.domain.plans.file_object import SEALED_MARK

KEY_PATH = "target.token"
#: Names of fields that look as if they held a key, anywhere in an integration.
_SECRET_NAME = re.compile(
    r"(?i)(^|_)(key|secret|token|password|authorization)$|api_?key|genie_?key"
)
_REFERENCE_PREFIXES = ("sealed:", "env:", "file:")


class KeyKeeper(Protocol):
    """Seals and opens keys: `stream_app.key_ring.KeyRing`."""

    def seal(self, clear: str, context: str) -> str:
        """Return the sealed key."""

    def open(self, stored: str, context: str) -> str:
        """Return the key that is sealed or named; raise SealingError if it cannot be read."""

    def is_sealed_with_newest(self, clear: str, stored: str, context: str) -> bool:
        """Return whether sealing again would change nothing."""


def is_secret_name(name: str) -> bool:
    """Return whether the name of a field looks as if it held a key."""
    return _SECRET_NAME.search(name) is not None


def sealed_record(
    record: dict[str, object],
    key: SecretStr | None,
    stored: Mapping[str, object] | None,
    keeper: KeyKeeper,
    problems: Problems,
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the record of an integration with its key sealed, and the paths that were left out.

    If the file gives no address, the record gets the default.

    Args:
        record: as the file has it, without the key.
        key: the key that the file had in the clear, if any.
        stored: the record as it is stored, if it is.
        keeper: seals the key.
        problems: problems with the key are added to it.
    """
    target = record.get("target")
    if not isinstance(target, dict):
        return record, ()
    target = {**target, "api": given_api(target)}
    try:
        target["token"] = _token({**record, "target": target}, key, stored, keeper)
    except InvalidObjectError as error:
        problems.append(error)
        target["token"] = error.value if error.value != HIDDEN else None
    dropped: list[str] = []
    record = _without_keys({**record, "target": target}, "", dropped)
    if key is not None:
        _note_copies(record, key.get_secret_value(), problems)
    return record, tuple(dropped)


def _token(
    record: Mapping[str, Any],
    key: SecretStr | None,
    stored: Mapping[str, object] | None,
    keeper: KeyKeeper,
) -> str | None:
    """Return the token of the record: the clear key sealed, the named one, or the stored one.

    Raises:
        InvalidObjectError: there is none that can be stored.
    """
    api, token = record["target"]["api"], record["target"].get("token")
    number, client_id = record.get("id"), record.get("client_id")
    if not isinstance(api, str) or not isinstance(number, int) or not isinstance(client_id, int):
        # Another field is wrong, and its own problem says so.
        return str(token) if key is None and is_stored_key(token) else "file:unjudged"
    try:
        if key is not None:
            return _sealed(key, stored, keeper, key_context(client_id, number, api))
        found = _named_or_stored(token, stored, keeper, key_context(client_id, number, api))
    except SealingError as error:
        raise InvalidObjectError(KEY_PATH, HIDDEN, str(error)) from None
    if found is not None and (refusal := key_refusal(found, client_id)) is not None:
        raise InvalidObjectError(KEY_PATH, found, refusal.removeprefix(f"{found}: "))
    return found


def _sealed(
    key: SecretStr, stored: Mapping[str, object] | None, keeper: KeyKeeper, context: str
) -> str:
    """Seal a key, or return its stored seal if that is still good."""
    clear = key.get_secret_value()
    if clear.startswith(_REFERENCE_PREFIXES):
        raise SealingError(
            "must be a key, env:STREAM_APP_KEY_<CLIENT>_<NAME> or file:<client>/<name>"
        )
    kept, _ = _stored_token(stored)
    if kept is not None and keeper.is_sealed_with_newest(clear, kept, context):
        return kept
    return keeper.seal(clear, context)


def _named_or_stored(
    token: object, stored: Mapping[str, object] | None, keeper: KeyKeeper, context: str
) -> str | None:
    """Return the token of the file, or else the stored one if the host is the same."""
    kept, kept_api = _stored_token(stored)
    if token in (None, "", SEALED_MARK):
        if kept is not None and api_host(kept_api) != context.partition("@")[2]:
            raise SealingError("target.api has another host than before: give the key again")
        return kept
    if not isinstance(token, str):
        raise SealingError("must be a text")
    if token.startswith("sealed:") and token != kept:
        keeper.open(token, context)
    return token


def _stored_token(stored: Mapping[str, object] | None) -> tuple[str | None, str]:
    """Return the key and the address of the stored record."""
    target = (stored or {}).get("target")
    if not isinstance(target, dict):
        return None, ""
    token = target.get("token")
    return (token if is_stored_key(token) else None), str(given_api(target))


def _note_copies(record: Mapping[str, object], clear: str, problems: Problems) -> None:
    """Add a problem for each other field that holds the key."""
    if len(clear) >= LEAST_KEY_CHARACTERS:
        problems += [
            InvalidObjectError(path, HIDDEN, "holds the key: take it out")
            for path in _paths_with(record, clear, "")
        ]


def shown_form(record: Mapping[str, object]) -> dict[str, object]:
    """Return an integration's record without its key, sealed or clear.

    The name of a key (`env:`, `file:`) stays. `apply` takes the result as unchanged.
    """
    shown = _without_keys(record, "", [])
    target = shown.get("target")
    if isinstance(target, dict) and "token" in target:
        token = target["token"]
        if not is_stored_key(token) or str(token).startswith("sealed:"):
            shown["target"] = {**target, "token": SEALED_MARK}
    return shown


def _without_keys(obj: Mapping[str, object], path: str, dropped: list[str]) -> dict[str, object]:
    """Copy `obj` without fields that look like keys, except the token."""
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
    """Return the paths of the texts in `value` that hold `clear`."""
    if isinstance(value, dict):
        return [p for n, v in value.items() for p in _paths_with(v, clear, f"{path}.{n}")]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in _paths_with(v, clear, f"{path}[{i}]")]
    return [path.removeprefix(".")] if isinstance(value, str) and clear in value else []

"""Opening and sealing the API keys of integrations.

A record holds a key in one of three forms:

    sealed:v1:<token>                   encrypted; opens only for the client, integration and host
                                        that it was sealed for
    env:STREAM_APP_KEY_<CLIENT>_<NAME>  an environment variable of the process that posts
    file:<client>/<name>                a file below STREAM_APP_KEY_DIR (off unless that is set)

A person who may write configuration must not be able to read the worker's secrets: hence the fixed
prefix of the variables and the fixed folder. Clients do not trust each other: hence their ids in
the names. If a sealed key is copied to another integration, or its integration is pointed at
another host, the result is an error, and no key is sent there. A key that an older version has
sealed is bound only to integration and host, and still opens; `stream-app secrets rotate` binds it
to its client.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from stream_app.domain.configuration.integrations import ENV_PREFIX, FILE_PREFIX, key_refusal
from stream_app.domain.delivery.own_errnos import SHORTAGE_ERRNOS
from stream_app.domain.errors import ResourceShortageError, SealingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stream_app.settings import Settings

SEALED = "sealed:v1:"
_VARIABLE = re.compile(r"STREAM_APP_KEY_(?!DIR\Z)[A-Z0-9_]+")
#: Text that has none of these forms may be a misplaced key, and is not shown.
_PLAIN_NAME = re.compile(r"[A-Z_]{1,64}")
_PLAIN_CONTEXT = re.compile(
    r"\d+/\d+@(([a-z-]{1,63}\.)+[a-z]{2,10}|[\d.]{1,15}|localhost|[\da-f]*:[\da-f:]+)"
)
_HIDDEN = "(hidden)"
_MAX_KEY_BYTES = 4096
_MAKE_ONE = "`stream-app secrets generate` makes one for STREAM_APP_SECRET_KEYS"


def generate_secret_key() -> str:
    """Return a new key for `STREAM_APP_SECRET_KEYS`."""
    return Fernet.generate_key().decode()


def secret_keys_of(settings: Settings) -> list[str]:
    """Return the installation's secret keys, newest first."""
    joined = settings.secret_keys.get_secret_value() if settings.secret_keys else ""
    return [key.strip() for key in joined.split(",") if key.strip()]


class KeyRing:
    """The installation's secret keys, newest first. The newest seals; all of them open."""

    def __init__(
        self,
        secret_keys: Sequence[str] = (),
        *,
        key_dir: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        ring = []
        for number, key in enumerate(secret_keys, start=1):
            try:
                ring.append(Fernet(key))
            except ValueError:
                raise SealingError(
                    f"STREAM_APP_SECRET_KEYS: key {number} of {len(secret_keys)} "
                    f"is not 32 bytes in URL-safe base64: {_MAKE_ONE}"
                ) from None
        self._newest = ring[0] if ring else None
        self._ring = MultiFernet(ring) if ring else None
        self._size = len(ring)
        self._key_dir = key_dir
        self._environ = os.environ if environ is None else environ

    def __repr__(self) -> str:
        return f"KeyRing({self._size} secret keys)"

    @classmethod
    def from_settings(cls, settings: Settings) -> KeyRing:
        """Build the ring from the settings; an empty one can neither seal nor open.

        Raises:
            SealingError: a secret key is not one.
        """
        return cls(secret_keys_of(settings), key_dir=settings.key_dir)

    def seal(self, clear: str, context: str) -> str:
        """Return `clear` encrypted and bound to `context` (`Integration.key_context`).

        Raises:
            SealingError: there is no secret key, or `clear` cannot be an API key.
        """
        if self._newest is None:
            raise SealingError(f"no secret key to seal the API key with: {_MAKE_ONE}")
        _check_key(clear, f"the API key of {_shown(context)}")
        client, bound = _parts(context)
        # The form of older versions, which do not read the client.
        inner = json.dumps({"client": client, "context": bound, "key": clear}).encode()
        return SEALED + self._newest.encrypt(inner).decode()

    def open(self, stored: str, context: str) -> str:
        """Return the API key that `stored` holds or names.

        Raises:
            SealingError: it cannot be opened, or was sealed for another integration or host.
        """
        if stored.startswith(SEALED):
            return self._open_sealed(stored, context, self._ring)
        client, _ = _parts(context)
        if stored.startswith(ENV_PREFIX):
            return self._read_variable(stored.removeprefix(ENV_PREFIX), client)
        if stored.startswith(FILE_PREFIX):
            return self._read_file(stored.removeprefix(FILE_PREFIX), client)
        raise SealingError(
            f"the stored API key of {_shown(context)} is not sealed: "
            "write the integration with `stream-app apply`, which seals it"
        )

    def is_sealed_with_newest(self, clear: str, stored: str, context: str) -> bool:
        """Tell whether `stored` is `clear`, sealed with the newest secret key.

        If not, sealing it again changes something: the key itself, what it is bound to, or the
        secret key that it needs.
        """
        try:
            opened = self._open_sealed(stored, context, self._newest, needs_client=True)
        except SealingError:
            return False
        return opened == clear

    def _open_sealed(
        self,
        stored: str,
        context: str,
        ring: Fernet | MultiFernet | None,
        *,
        needs_client: bool = False,
    ) -> str:
        if ring is None:
            raise SealingError(
                f"the API key of {_shown(context)} is sealed, and STREAM_APP_SECRET_KEYS is not "
                "set: set it to the keys that `stream-app apply` had"
            )
        try:
            inner = json.loads(ring.decrypt(stored.removeprefix(SEALED).encode()))
        except (InvalidToken, ValueError):
            raise SealingError(
                f"the API key of {_shown(context)} was sealed with none of the keys in "
                "STREAM_APP_SECRET_KEYS: add the one it was sealed with, or apply it again"
            ) from None
        client, bound = _parts(context)
        owner = inner.get("client", None if needs_client else client)
        if (owner, inner.get("context")) != (client, bound):
            raise SealingError(
                f"the sealed API key does not belong to {_shown(context)}: "
                "apply the integration with its key in the clear"
            )
        return str(inner["key"])

    def _read_variable(self, name: str, client: str) -> str:
        if not _VARIABLE.fullmatch(name):
            shown = name if _PLAIN_NAME.fullmatch(name) else _HIDDEN
            raise SealingError(
                f"env:{shown}: only variables STREAM_APP_KEY_<CLIENT>_<NAME> may be named"
            )
        _check_owner(f"{ENV_PREFIX}{name}", client)
        value = self._environ.get(name, "").strip()
        if not value:
            raise SealingError(
                f"env:{name}: the variable is not set here, and must be set where notifiers run"
            )
        return _check_key(value, f"env:{name}")

    def _read_file(self, name: str, client: str) -> str:
        if self._key_dir is None:
            raise SealingError(f"file:{name}: keys in files are off: set STREAM_APP_KEY_DIR")
        is_plain = ".." not in name.split("/")
        if is_plain:
            _check_owner(f"{FILE_PREFIX}{name}", client)
        try:
            folder = self._key_dir.resolve()
            own = (folder / client).resolve()
            path = (folder / name).resolve()
        except (OSError, ValueError, RuntimeError):
            raise SealingError(f"file:{name}: cannot be resolved: check the name") from None
        is_own = own.is_relative_to(folder) and path.is_relative_to(own)
        if not is_plain or not is_own:
            raise SealingError(
                f"file:{name}: lies outside STREAM_APP_KEY_DIR/{client}: name a file in it"
            )
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_KEY_BYTES + 1)
        except OSError as error:
            if error.errno in SHORTAGE_ERRNOS:
                raise ResourceShortageError(f"file:{name}: {error.strerror}") from None
            raise SealingError(
                f"file:{name}: {error.strerror}: put the key below STREAM_APP_KEY_DIR"
            ) from None
        return _check_key(content.decode("latin-1").strip(), f"file:{name}")


def _parts(context: str) -> tuple[str, str]:
    """Return the client of a context, and the integration with its host."""
    client, _, bound = context.partition("/")
    return client, bound


def _check_owner(named: str, client: str) -> None:
    """Check that a name belongs to the client."""
    if (refusal := key_refusal(named, int(client))) is not None:
        raise SealingError(refusal)


def _shown(context: str) -> str:
    """Return a context for a message: its ids, and its host if that is a valid one."""
    number, _, _ = context.partition("@")
    return context if _PLAIN_CONTEXT.fullmatch(context) else f"{number}@{_HIDDEN}"


def _check_key(key: str, what: str) -> str:
    """Return `key` if it may stand in an HTTP header; the error does not show it."""
    if not 0 < len(key) <= _MAX_KEY_BYTES or not all("!" <= c <= "~" for c in key):
        raise SealingError(f"{what}: is not an API key (printable ASCII without blanks expected)")
    return key

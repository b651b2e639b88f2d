"""The bearer token that `/metrics` asks for, if one is set."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path

from stream_app.domain.errors import ConfigurationError
from stream_app.environment import FILE_SUFFIX, secrets_in_files
from stream_app.setting_groups import HttpSettings
from stream_app.watched_files import WatchedFiles

TOKEN = "STREAM_APP_HTTP__TOKEN"  # noqa: S105 - the name of the variable
#: What a header can carry as one word.
_WORD = re.compile(r"[!-~]+")


class Token:
    """A token, read again when its file changes.

    Raises:
        ConfigurationError: it is none that a client could send.
    """

    def __init__(self, http: HttpSettings) -> None:
        file = os.environ.get(f"{TOKEN}{FILE_SUFFIX}")
        self._current: Callable[[], str | None]
        if file is None:
            secret = None if http.token is None else http.token.get_secret_value()
            given = None if secret is None else _checked(TOKEN, secret)
            self._current = lambda: given
        else:
            variable = f"{TOKEN}{FILE_SUFFIX}"

            def read() -> str:
                return _checked(variable, secrets_in_files([TOKEN], os.environ)[TOKEN])

            self._current = WatchedFiles([variable], [Path(file)], read).current

    @property
    def is_set(self) -> bool:
        """Tell whether `/metrics` asks for a token."""
        return self._current() is not None

    def allows(self, authorization: str) -> bool:
        """Tell whether a request with this header `Authorization` may see what the token guards."""
        token = self._current()
        if token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        # In constant time: it says nothing about how much of the token is right.
        is_it = hmac.compare_digest(given.strip().encode(), token.encode())
        return is_it and scheme.lower() == "bearer"


def _checked(variable: str, secret: str) -> str:
    if not _WORD.fullmatch(word := secret.strip()):
        raise ConfigurationError(
            f"{variable}: is no token: use letters, digits and signs of ASCII without spaces, "
            "such as `openssl rand -hex 32` prints"
        )
    return word

"""Reads environment variables: recognizes those of Kubernetes, and reads secrets from files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stream_app.domain.errors import ConfigurationError

FILE_SUFFIX = "_FILE"
#: No secret is longer.
MAX_SECRET_BYTES = 64 * 1024
#: Variables that Kubernetes sets in every container for each Service (kubernetes.io, "Accessing the
#: Service", and Docker's links). A Service named `stream-app…` gives variables with our prefix.
_SERVICE = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)\Z|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?\Z")
_SERVICE_PORT = re.compile(r"[a-z]+://")


def is_service_variable(name: str, value: str) -> bool:
    """Tell whether Kubernetes has set a variable for a Service.

    Its `…_PORT` holds an address. One that holds a number may be a mistyped setting.
    """
    if _SERVICE.search(name):
        return True
    return name.endswith("_PORT") and _SERVICE_PORT.match(value) is not None


def secrets_in_files(variables: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets from files that a `<variable>_FILE` names, by variable.

    Line ends after a secret are dropped. The files' permissions are not checked, because everybody
    in a container may read what Kubernetes mounts.

    Raises:
        ConfigurationError: both variables are set, or the file holds no secret. The error never
            shows a secret.
    """
    found = {}
    for variable in variables:
        if (path := environ.get(f"{variable}{FILE_SUFFIX}")) is None:
            continue
        if variable in environ:
            raise ConfigurationError(
                f"{variable} and {variable}{FILE_SUFFIX} are both set: unset one of them"
            )
        found[variable] = _secret(f"{variable}{FILE_SUFFIX}", path)
    return found


def _secret(variable: str, path: str) -> str:
    if not path:
        raise ConfigurationError(f"{variable} is empty: name a file, or unset it")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no path"
        step = "name a file that is there"
        if isinstance(error, PermissionError):
            step = f"let the user with the id {os.geteuid()} read it"
        raise ConfigurationError(f"{variable}: {path}: {why}: {step}") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigurationError(
            f"{variable}: {path}: holds more than {MAX_SECRET_BYTES} bytes: "
            "name the file of the secret"
        )
    try:
        # Editors of Windows begin a file with a mark of its encoding, which belongs to no secret.
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}: {path}: is no UTF-8 text") from None
    if not text.strip() or "\0" in text:
        raise ConfigurationError(f"{variable}: {path}: holds no secret: write it into the file")
    return text

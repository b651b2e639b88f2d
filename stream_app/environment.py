"""The environment of a process: what of it is for this project, and secrets that stand in files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stream_app.domain.errors import ConfigurationError

FILE = "_FILE"
#: More than any secret has.
MAX_BYTES = 64 * 1024
#: What Kubernetes puts into every container for each Service (kubernetes.io, "Accessing the
#: Service", and Docker's links). One whose name begins with `stream-app` gives names like ours.
_SERVICE = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)\Z|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?\Z")
_SERVICE_PORT = re.compile(r"[a-z]+://")


def is_of_service(name: str, value: str) -> bool:
    """Tell whether Kubernetes has set a variable, for a Service.

    `…_PORT` is its, if it holds an address: as a number it may be a slip for a setting.
    """
    if _SERVICE.search(name):
        return True
    return name.endswith("_PORT") and _SERVICE_PORT.match(value) is not None


def secrets_in_files(variables: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets whose variable names a file: `<variable>_FILE`. By variable.

    Line ends after a secret are none of it. Who may read a file is not judged: Kubernetes lets
    everybody in the container read what it mounts.

    Raises:
        ConfigurationError: both are given, or the file holds no secret. It shows no secret.
    """
    found = {}
    for variable in variables:
        if (path := environ.get(f"{variable}{FILE}")) is None:
            continue
        if variable in environ:
            raise ConfigurationError(
                f"{variable} and {variable}{FILE} are both set: unset one of them"
            )
        found[variable] = _secret(f"{variable}{FILE}", path)
    return found


def _secret(variable: str, path: str) -> str:
    if not path:
        raise ConfigurationError(f"{variable} is empty: name a file, or unset it")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no path"
        raise ConfigurationError(f"{variable}: {path}: {why}: name a file that is there") from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(
            f"{variable}: {path}: holds more than {MAX_BYTES} bytes: name the file of the secret"
        )
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}: {path}: is no UTF-8 text") from None
    if not text.strip() or "\0" in text:
        raise ConfigurationError(f"{variable}: {path}: holds no secret: write it into the file")
    return text

"""A file that gives other terminals the environment of what runs here: `. FILE`.

It holds no secret: the secret key has a file of its own, and secrets that a person has set stay in
that person's terminal. So it may stay when the demo or the broker ends, or is killed. What it names
is what the next run uses.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from stream_app.domain.errors import StreamAppError
from stream_app.environment import FILE_SUFFIX
from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings, secret_variables, setting_fields

ENVIRONMENT_FILE = "env"
KEY_FILE = "secret-key"
BROKERS = "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"
PREFIX = "STREAM_APP_TOPIC_PREFIX"
SANDBOX = "STREAM_APP_DELIVERY__SANDBOX_URL"
SECRET_KEYS = "STREAM_APP_SECRET_KEYS"  # noqa: S105 - the name of the variable
#: Each is set by the file, or unset: one that a terminal has from elsewhere would mislead.
DECIDED = (BROKERS, PREFIX, SANDBOX, SECRET_KEYS, f"{SECRET_KEYS}{FILE_SUFFIX}")


def local_environment(
    settings: Settings, directory: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that give a command the installation of these settings.

    All of its paths are absolute. Its secret key is the one in `directory`, made if there is none.
    Of the settings in `environ`, secrets are left out.
    """
    kept = {name: value for name, value in environ.items() if name not in DECIDED}
    found = dict(_plain_settings(kept))
    if settings.kafka.bootstrap_servers:
        found[BROKERS] = settings.kafka.bootstrap_servers
    else:
        embedded = settings.embedded
        found["STREAM_APP_EMBEDDED__DIRECTORY"] = str(embedded.directory.absolute())
        found["STREAM_APP_EMBEDDED__JARS_DIRECTORY"] = str(embedded.jars_directory.absolute())
    if settings.topic_prefix:
        found[PREFIX] = settings.topic_prefix
    if settings.delivery.sandbox_url:
        found[SANDBOX] = settings.delivery.sandbox_url
    found[f"{SECRET_KEYS}{FILE_SUFFIX}"] = str(_kept_key_file(directory.absolute()))
    return found


def write_environment(directory: Path, variables: Mapping[str, str]) -> str:
    """Write the file into `directory`; return the line that uses it, for sh, bash and zsh."""
    lines = [
        "# Written by stream-app. It gives a terminal the environment of what runs here.",
        f"unset {' '.join(name for name in DECIDED if name not in variables)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())),
        *_path_lines(Path(sys.executable).parent),
    ]
    _write_private(directory / ENVIRONMENT_FILE, "".join(f"{line}\n" for line in lines))
    return use_line(directory)


def use_line(directory: Path) -> str:
    """Return the line that uses the file of this folder."""
    return f". {shlex.quote(str(directory.absolute() / ENVIRONMENT_FILE))}"


def _plain_settings(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the settings that are set and no secrets; files of secrets are only named."""
    for name, field in setting_fields():
        if name in environ and name not in secret_variables():
            is_path = field.annotation in (Path, Path | None)
            yield name, _absolute(environ[name]) if is_path else environ[name]
    for name in (f"{secret}{FILE_SUFFIX}" for secret in secret_variables()):
        if name in environ:
            yield name, _absolute(environ[name])


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def _path_lines(folder: Path) -> list[str]:
    """Return the lines that put our command first on the PATH, once."""
    if not (folder / "stream-app").exists():
        return []
    name = shlex.quote(str(folder))
    return [f'case "$PATH" in {name}:*) ;; *) export PATH={name}:"$PATH" ;; esac']


def _kept_key_file(directory: Path) -> Path:
    """Return the file of the key that seals API keys here; it is made once and kept."""
    file = directory / KEY_FILE
    if not file.exists():
        _write_private(file, generate_secret_key())
    return file


def _write_private(file: Path, text: str) -> None:
    """Write a file in one step: a kill, or another that writes it, leaves a whole one.

    Raises:
        StreamAppError: it cannot be written.
    """
    try:
        number, partial = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
        with os.fdopen(number, "wb") as out:
            out.write(os.fsencode(text))
        Path(partial).replace(file)
    except OSError as error:
        raise StreamAppError(
            f"{file} cannot be written: {error.strerror}: mend that and start again"
        ) from error

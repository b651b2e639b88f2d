"""Makes a file from which Java has Kafka's classes loaded at once: `make tools` calls this.

A start of the broker takes 7 s of a core without it and 3 s with it, and the tests start some
thirty. It takes as long as two starts to make, once in a checkout.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stream_app.kafka.embedded import broker
from stream_app.kafka.embedded.process import java_command
from stream_app.setting_groups import EmbeddedSettings

ROOT = Path(__file__).parents[1]
JARS = ROOT / ".local" / "jars"
JAVA_CACHE = ROOT / ".local" / "tools" / "kafka.aot"
#: The file is written when the broker ends.
STOP_SECONDS = 300.0


def java_options() -> dict[str, str]:
    """Return the environment in which Java uses the file; empty if there is none."""
    return {"JDK_JAVA_OPTIONS": f"-XX:AOTCache={JAVA_CACHE}"} if JAVA_CACHE.exists() else {}


def make() -> None:
    """Make the file from a broker that is started and stopped."""
    part = JAVA_CACHE.with_suffix(".partial")

    def recording(jars: Sequence[Path]) -> list[str]:
        java, *options = java_command(jars)
        return [java, f"-XX:AOTCacheOutput={part}", *options]

    vars(broker)["java_command"] = recording
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "kafka"
        kafka = broker.EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
        kafka.start()
        kafka.stop(STOP_SECONDS)
    part.rename(JAVA_CACHE)


if __name__ == "__main__" and not JAVA_CACHE.exists():
    print(f"making {JAVA_CACHE}, so that Kafka starts faster")
    make()

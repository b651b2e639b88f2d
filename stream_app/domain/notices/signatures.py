"""Marks that make the project's own notices known, which anybody may write beside.

Every producer may write to `events.account`, and say there what it likes: a notice with the id
that one of ours is going to have would be taken for it, and ours for a copy. So our own carry a
mark that is made with the installation's secret keys, of all that they say. A notice that has an
id in one of our forms and no such mark gets an id of its own, made of its content.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from stream_app.domain.notices.own import Notice, encode_notice

#: The forms of our own ids: of changes of the configuration, of the judge, route and deliver.
OWN_ID = re.compile(
    r"(config\.[a-z]+|integration_broken|deliveries_overflowed|alerts_stale)/", re.IGNORECASE
)
_PURPOSE = b"stream_app own notice"


class NoticeMarks:
    """Makes marks with the newest secret key, and knows those of each; without keys, none.

    Args:
        secret_keys: newest first.
    """

    def __init__(self, secret_keys: Sequence[str] = ()) -> None:
        self._keys = [hmac.digest(key.encode(), _PURPOSE, hashlib.sha256) for key in secret_keys]

    def __repr__(self) -> str:
        return f"NoticeMarks({len(self._keys)} secret keys)"

    def encode(self, notice: Notice) -> bytes:
        """Return one of our notices as it stands on the topic: with its mark."""
        if self._keys:
            notice = msgspec.structs.replace(notice, stream_app_mark=self._mark(notice, 0))
        return encode_notice(notice)

    def are_on(self, notice: Notice, mark: object) -> bool:
        """Tell whether a notice is our own: its mark is of one of the keys."""
        return isinstance(mark, str) and any(
            hmac.compare_digest(self._mark(notice, number).encode(), mark.encode(errors="replace"))
            for number in range(len(self._keys))
        )

    def _mark(self, notice: Notice, number: int) -> str:
        return hmac.new(self._keys[number], encode_notice(notice), hashlib.sha256).hexdigest()


#: Of an installation without secret keys.
NO_MARKS = NoticeMarks()


def identity_of(
    notice: Notice, description: str | None, mark: object, marks: NoticeMarks
) -> tuple[str, ...]:
    """Return what the alert of a notice with an id is known by: the id alone, if it may have it.

    What it must not have is known by its content, too: so it is one alert however often it is
    sent, and never the one that it claims to be. Our own have no `description`.
    """
    if OWN_ID.match(notice.id) is None or (description is None and marks.are_on(notice, mark)):
        return (notice.id,)
    content = encode_notice(notice) + (description or "").encode(errors="replace")
    return (notice.id, "unmarked", hashlib.sha256(content).hexdigest())

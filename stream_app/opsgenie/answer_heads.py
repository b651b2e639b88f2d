"""Reads the head of each answer itself, so that a status counts as soon as it has come.

aiohttp's parser rejects a head that it cannot read as a whole, and drops the status with it: a
request that was accepted would be sent again. So each connection reads the head line by line, and
the parser gets a short head in its place, with nothing but where the body ends.
"""

from __future__ import annotations

import asyncio
import functools
import re
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage

from stream_app.opsgenie.outcome import ANSWER_HEADERS

#: HTTP is in capitals by the standard. A service that writes it otherwise has answered, too, and an
#: alert that it has accepted must not be sent again.
STATUS_LINE = re.compile(rb"(?i:HTTP)/(\d(?:\.\d+)?)[ \t]+([1-9]\d\d)(?![\d.])")
FIRST_FINAL_STATUS = 200
#: Where the status must be in a line; a line without one in these first bytes has none.
MAX_STATUS_BYTES = 64
#: The most that is kept of a line. Of a longer line only the status at its beginning is read.
MAX_LINE_BYTES = 8190
MAX_HEAD_BYTES = 8 * 1024 * 1024
CONTENT_LENGTH = re.compile(r"\d{1,15}")
#: They tell where the body ends, and whether the connection stays open.
FRAMING_HEADERS = ("connection", "content-length", "transfer-encoding")
KEPT_HEADERS = frozenset((*ANSWER_HEADERS, *FRAMING_HEADERS))


class AnswerHead:
    """The head of one answer, read as its bytes come. `status` is 0 until the status has come.

    Interim answers (1xx) are skipped: any number of them, of any length, may come first.
    """

    def __init__(self) -> None:
        self.status = 0
        #: The headers in `KEPT_HEADERS`: names in lower case, several values of one name joined.
        self.headers: dict[str, str] = {}
        #: Whether the answer does not begin as HTTP does.
        self.is_garbage = False
        self.is_over = False
        self._version = b"1.1"
        self._is_interim = False
        self._line = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what the parser is to get in their place."""
        if self.is_over:
            return data
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._take(data[start:end], is_whole=True)
            if self.is_garbage:
                return b""
            start = end + 1
            if self._end_line():
                self.is_over = True
                return self._render() + data[start:]
        self._take(data[start:], is_whole=False)
        return b""

    def end(self) -> None:
        """Take the end of the connection: the last byte may be the last digit of a status."""
        if not self.is_over:
            self._take(b"", is_whole=True)

    def _take(self, data: bytes, *, is_whole: bool) -> None:
        """Add bytes to the current line, and look for a status at its beginning."""
        self._line += data[: MAX_LINE_BYTES + 1 - len(self._line)]
        if self.status or self._is_interim or not self._line.rstrip(b"\r"):
            return
        line = STATUS_LINE.match(self._line)
        if line is None:
            self.is_garbage = is_whole or len(self._line) >= MAX_STATUS_BYTES
        elif is_whole or line.end() < len(self._line):  # else another digit may come
            code = int(line[2])
            self._is_interim = code < FIRST_FINAL_STATUS
            if not self._is_interim:
                self.status, self._version = code, line[1]

    def _end_line(self) -> bool:
        """Read a whole line; tell whether the head ends with it."""
        line = bytes(self._line).rstrip(b"\r")
        self._line.clear()
        if line:
            name, colon, value = line.partition(b":")
            key = name.decode("latin-1").lower()
            if colon and key in KEPT_HEADERS and self.status and len(line) <= MAX_LINE_BYTES:
                text = value.decode("latin-1").strip()
                known = self.headers.get(key)
                self.headers[key] = text if known is None else f"{known}, {text}"
            return False
        is_end = bool(self.status)
        self._is_interim = False
        return is_end

    def _render(self) -> bytes:
        """Return the head for the parser: it tells where the body ends, and nothing else.

        If that is not clear, chunks take precedence over a length, as the standard says, and the
        connection is not used again.
        """
        coding = self.headers.get("transfer-encoding", "").lower()
        lengths = set(re.split(r"\s*,\s*", self.headers.get("content-length", "")))
        length = lengths.pop() if len(lengths) == 1 else "?"  # "?": they contradict each other
        is_clear = coding in ("", "chunked") and not (coding and length)
        lines = [b"HTTP/1.0" if self._version == b"1.0" else b"HTTP/1.1"]
        lines[0] += b" %d OK" % self.status
        if coding.endswith("chunked"):
            lines.append(b"Transfer-Encoding: chunked")
        elif CONTENT_LENGTH.fullmatch(length):
            lines.append(b"Content-Length: " + length.encode())
        else:
            is_clear = is_clear and not length
        connection = self.headers.get("connection", "").lower()
        if not is_clear or "close" in connection:
            lines.append(b"Connection: close")
        elif "keep-alive" in connection:
            lines.append(b"Connection: keep-alive")
        return b"\r\n".join([*lines, b"", b""])


class AnswerProtocol(ResponseHandler):
    """A connection that reads the heads of answers with `AnswerHead`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.head = AnswerHead()
        self._head_bytes = 0
        self._has_head = True  # no answer is awaited yet

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the next answer."""
        self.head = AnswerHead()
        self._head_bytes, self._has_head = 0, False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Read what belongs to the head, and pass the rest on."""
        if data and self._has_head and (self._payload is None or self._payload.is_eof()):
            # No request waits for this: it must not pass for the answer to the next one.
            self.force_close()
            self.close()
            return
        rest = self.head.feed(data) if data else data
        if rest or not data:
            super().data_received(rest)
        elif self.head.is_garbage:
            self._give_up(BadHttpMessage("it does not begin with a status"))
        elif not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._give_up(BadHttpMessage("its head does not end"))

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take what the parser has read: the head has ended."""
        self._has_head = True
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the head, and the connection."""
        self.head.end()
        super().connection_lost(exc)

    def _give_up(self, error: Exception) -> None:
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class WatchedResponse(aiohttp.ClientResponse):
    """A response that shows its head to the `AnswerWatch` of its task."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Read the head of the answer."""
        watch = _watch.get()
        if watch is not None and isinstance(connection.protocol, AnswerProtocol):
            watch.head = connection.protocol.head
        return await super().start(connection)


class AnswerWatch:
    """Holds the head of the answer to a task's next request, as far as it has come."""

    def __init__(self) -> None:
        self.head = AnswerHead()


_watch: ContextVar[AnswerWatch | None] = ContextVar("watch", default=None)


def watch_answer() -> AnswerWatch:
    """Watch the answer to this task's next request; the transport itself does not show it."""
    watch = AnswerWatch()
    _watch.set(watch)
    return watch


class AnswerConnector(aiohttp.TCPConnector):
    """A pool of connections that read the heads of answers with `AnswerHead`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # There is no public way to choose the protocol. If this attribute ever goes,
        # tests/unit/opsgenie/test_answer_heads.py fails.
        factory = functools.partial(AnswerProtocol, self._loop)
        self._factory = factory  # type: ignore[assignment] # of a subclass

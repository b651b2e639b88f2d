"""Answers as bytes: the status counts as soon as it has come, whatever stands before or after it.

aiohttp's parser takes no answer whose head it cannot read as a whole, and with the head it drops
the status: a request that was accepted would be sent again. So each connection reads the heads
itself, line by line, and the parser gets one of those lines only that are looked at.
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

from stream_app.opsgenie.outcome import HEADERS

#: The standard's version is in capitals; a service that writes it otherwise has answered, too, and
#: an alert that it has accepted must not be sent again.
STATUS = re.compile(rb"(?i:HTTP)/(\d(?:\.\d+)?)[ \t]+([1-9]\d\d)(?![\d.])")
FIRST_FINAL_STATUS = 200
#: Where no status has come within so many bytes of a line, none will.
STATUS_BYTES = 64
#: Most that is kept of a line; a longer one is passed over, but for the status it begins with.
MAX_LINE_BYTES = 8190
MAX_HEAD_BYTES = 8 * 1024 * 1024
LENGTH = re.compile(r"\d{1,15}")
#: How the end of the body is found, and whether the connection goes on.
FRAMING = ("connection", "content-length", "transfer-encoding")
NAMES = frozenset((*HEADERS, *FRAMING))


class RawAnswer:
    """The head of one answer as it comes. `status` is 0 until it has come.

    Interim answers (1xx) are left out: any number of them, of any length, may come before.
    """

    def __init__(self) -> None:
        self.status = 0
        #: The headers that are looked at; names in lower case, values of one name joined.
        self.headers: dict[str, str] = {}
        #: It does not begin as HTTP does.
        self.is_garbage = False
        self.is_over = False
        self._version = b"1.1"
        self._is_interim = False
        self._line = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take what has come; return what the parser is to get of it."""
        if self.is_over:
            return data
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data[start:end], is_whole=True)
            if self.is_garbage:
                return b""
            start = end + 1
            if self._end_line():
                self.is_over = True
                return self._render() + data[start:]
        self._add(data[start:], is_whole=False)
        return b""

    def end(self) -> None:
        """Note that no more comes: the last digit of a status may be the last byte."""
        if not self.is_over:
            self._add(b"", is_whole=True)

    def _add(self, data: bytes, *, is_whole: bool) -> None:
        """Take some bytes of a line, or all that were missing; find the status it begins with."""
        self._line += data[: MAX_LINE_BYTES + 1 - len(self._line)]
        if self.status or self._is_interim or not self._line.rstrip(b"\r"):
            return
        line = STATUS.match(self._line)
        if line is None:
            self.is_garbage = is_whole or len(self._line) >= STATUS_BYTES
        elif is_whole or line.end() < len(self._line):  # else another digit may come
            code = int(line[2])
            self._is_interim = code < FIRST_FINAL_STATUS
            if not self._is_interim:
                self.status, self._version = code, line[1]

    def _end_line(self) -> bool:
        """Read a line that is whole; tell whether the head ends with it."""
        line = bytes(self._line).rstrip(b"\r")
        self._line.clear()
        if line:
            name, colon, value = line.partition(b":")
            key = name.decode("latin-1").lower()
            if colon and key in NAMES and self.status and len(line) <= MAX_LINE_BYTES:
                text = value.decode("latin-1").strip()
                known = self.headers.get(key)
                self.headers[key] = text if known is None else f"{known}, {text}"
            return False
        is_end = bool(self.status)
        self._is_interim = False
        return is_end

    def _render(self) -> bytes:
        """Return the head that the parser gets: how the body ends, and nothing else.

        Where that is not clear chunks count before a length, as the standard has it, and the
        connection is not used again.
        """
        coding = self.headers.get("transfer-encoding", "").lower()
        lengths = set(re.split(r"\s*,\s*", self.headers.get("content-length", "")))
        length = lengths.pop() if len(lengths) == 1 else "?"
        is_clear = coding in ("", "chunked") and not (coding and length)
        lines = [b"HTTP/1.0" if self._version == b"1.0" else b"HTTP/1.1"]
        lines[0] += b" %d OK" % self.status
        if coding.endswith("chunked"):
            lines.append(b"Transfer-Encoding: chunked")
        elif LENGTH.fullmatch(length):
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
    """A connection that reads the heads of answers itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.raw = RawAnswer()
        self._head_bytes = 0
        self._has_head = True  # nothing is asked for yet

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the next answer."""
        self.raw = RawAnswer()
        self._head_bytes, self._has_head = 0, False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Read what is of the head, and hand the rest on."""
        if data and self._has_head and (self._payload is None or self._payload.is_eof()):
            # Nobody has asked: it must not pass for the answer to the next request.
            self.force_close()
            self.close()
            return
        rest = self.raw.feed(data) if data else data
        if rest or not data:
            super().data_received(rest)
        elif self.raw.is_garbage:
            self._give_up(BadHttpMessage("it does not begin with a status"))
        elif not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._give_up(BadHttpMessage("its head does not end"))

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take a head that the parser has read."""
        self._has_head = True
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that no more comes."""
        self.raw.end()
        super().connection_lost(exc)

    def _give_up(self, error: Exception) -> None:
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class WatchedResponse(aiohttp.ClientResponse):
    """A response that shows the head to whoever watches the task that it comes to."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Read the head of the answer."""
        watch = _watch.get()
        if watch is not None and isinstance(connection.protocol, AnswerProtocol):
            watch.answer = connection.protocol.raw
        return await super().start(connection)


class Watch:
    """Where the head of the answer to a task's next request is found."""

    def __init__(self) -> None:
        self.answer = RawAnswer()


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def watch_answer() -> Watch:
    """Watch the answer to the next request of this task: the transport does not show its bytes."""
    watch = Watch()
    _watch.set(watch)
    return watch


class AnswerConnector(aiohttp.TCPConnector):
    """A pool of connections that read the heads of answers themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # There is no public way to choose the protocol: tests/unit/opsgenie/test_answers.py fails
        # when this one is gone.
        factory = functools.partial(AnswerProtocol, self._loop)
        self._factory = factory  # type: ignore[assignment] # of a subclass

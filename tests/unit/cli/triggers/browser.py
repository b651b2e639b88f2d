"""A real Chromium without a window, for tests of pages: `make tools` has fetched it.

It is driven over two pipes by the DevTools protocol, so that it needs no port and no library.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.tools import tool

#: No sandbox: root has none, and the only pages are the project's own.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
_END = b"\0"


class Browser:
    """A browser with one page."""

    def __init__(self) -> None:
        """Start it."""
        asked, self._ask = os.pipe()
        self._answers, answered = os.pipe()
        # The protocol wants its pipes as the descriptors 3 and 4.
        command = f'exec "$0" "$@" 3<&{asked} 4>&{answered}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, tool("chromium-headless-shell"), *_OPTIONS, "about:blank"],
            pass_fds=(asked, answered),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(asked)
        os.close(answered)
        self._read, self._count = b"", 0
        self._session: str | None = None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ask)
        os.close(self._answers)

    def show(self, file: Path, width: int, *, is_dark: bool = False) -> None:
        """Show a page as a screen of a width in CSS pixels does, and wait until it is loaded."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=844, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=file.as_uri())
        shown = f"document.readyState == 'complete' && location.href == {json.dumps(file.as_uri())}"
        while not self.value(shown):
            pass  # each question waits for its answer

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        found = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def _call(self, method: str, **params: object) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._ask, json.dumps(message).encode() + _END)
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])

    def _next(self) -> bytes:
        while _END not in self._read:
            part = os.read(self._answers, 1 << 20)
            assert part, "Chromium has ended"
            self._read += part
        message, _, self._read = self._read.partition(_END)
        return message

"""A loopback HTTP proxy in front of a server, which misbehaves as it is told to, while it runs."""

import http.client
import random
import re
import socket
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self

from tests.support.servers import free_port

Mode = Literal["pass", "refuse", "hang", "slow", "500", "503", "cut", "cut first", "drop"]
"""``cut`` loses every answer after the server did the work, ``cut first`` the first one of each
endpoint, ``drop`` some.
"""

_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}
_IDS = re.compile(r"[0-9a-f]{32}|m-[0-9a-f]{32}|\d+")


class Proxy:
    """Forwards to a port of this machine; ``n_disturbed`` is how many requests met something else
    than ``pass``.

    Args:
        target: The server's port.
        seed: Decides which answers ``drop`` loses.
    """

    def __init__(self, target: int, seed: int = 0) -> None:
        self.port = free_port()
        self.target = target
        self.delay_seconds = 0.1
        self.dropped_share = 0.1
        self.n_disturbed = 0
        self._random = random.Random(seed)
        self._mode: Mode = "pass"
        self._plan: deque[tuple[str, int, Mode, float | None]] = deque()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.set_mode("pass")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.set_mode("refuse")

    def set_mode(self, mode: Mode) -> None:
        """What happens to requests from now on; those that hang are let go, without an answer."""
        self._mode = mode
        self._released.set()
        self._released = threading.Event()
        if mode == "refuse" and self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        elif mode != "refuse" and self._server is None:
            self._server = _Server(self)
            threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def plan(self, path: str, nth: int, mode: Mode, seconds: float | None = None) -> None:
        """Set a mode when the n-th request comes whose path holds this text, for so many seconds or
        for good.

        That request is the first to meet it. Of several plans, one begins to count when the one
        before has begun.
        """
        self._plan.append((path, nth, mode, seconds))

    def meet(self, path: str) -> tuple[Mode, threading.Event]:
        """The mode that a request meets, and what it waits for where it hangs."""
        with self._lock:
            if self._plan and self._plan[0][0] in path:
                text, nth, mode, seconds = self._plan.popleft()
                if nth > 1:
                    self._plan.appendleft((text, nth - 1, mode, seconds))
                else:
                    self.set_mode(mode)
                    if seconds is not None:
                        threading.Timer(seconds, self.set_mode, ["pass"]).start()
            self.n_disturbed += self._mode not in ("pass", "drop", "cut first")
            return self._mode, self._released

    def loses(self, mode: Mode, endpoint: str) -> bool:
        """Whether the answer to a request is lost."""
        with self._lock:
            self._seen[endpoint] += 1
            is_lost = (
                mode == "cut"
                or (mode == "cut first" and self._seen[endpoint] == 1)
                or (mode == "drop" and self._random.random() < self.dropped_share)
            )
            self.n_disturbed += is_lost and mode != "cut"
            return is_lost


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", proxy.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def handle_any(self) -> None:
        proxy: Proxy = self.server.proxy
        body = self._read_body()
        mode, released = proxy.meet(self.path)
        if mode == "hang":
            released.wait()
        if mode in ("hang", "refuse"):
            self._cut()
            return
        if mode == "slow":
            time.sleep(proxy.delay_seconds)
        if mode in ("500", "503"):
            self.send_error(int(mode))
            return
        try:
            status, headers, answer = self._forward(body)
        except OSError:
            self._cut()
            return
        if proxy.loses(mode, f"{self.command} {_IDS.sub('*', self.path.partition('?')[0])}"):
            self._cut()
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.proxy.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        try:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.handle_any)

"""A loopback TCP relay in front of a server, which stops forwarding without closing, or closes one
side only: what a network that is cut looks like from each of its ends.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

POLL_SECONDS = 0.02


class Relay:
    """Forwards to a port of this machine.

    Args:
        target: The server's port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._other: dict[socket.socket, socket.socket] = {}
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_over = False
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._flowing.set()
        self._thread.join()
        for each in (self._listener, *(end for pair in self._pairs for end in pair)):
            each.close()

    def freeze(self) -> None:
        """Forward nothing from now on, and accept nobody; both sides stay open."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward again."""
        self._flowing.set()

    def cut(self) -> None:
        """Close the clients' sides; the server hears nothing of it."""
        for client, _ in self._pairs:
            client.shutdown(socket.SHUT_RDWR)

    def _forward(self) -> None:
        while not self._is_over:
            self._flowing.wait()
            for ready in select.select([self._listener, *self._other], [], [], POLL_SECONDS)[0]:
                if ready is self._listener:
                    client = self._listener.accept()[0]
                    server = socket.create_connection(("127.0.0.1", self._target))
                    self._pairs.append((client, server))
                    self._other |= {client: server, server: client}
                elif data := _receive(ready):
                    with suppress(OSError):  # the client's side was cut
                        self._other[ready].sendall(data)
                else:
                    del self._other[ready]


def _receive(ready: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return ready.recv(65536)
    return b""

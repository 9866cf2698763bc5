"""Form: a multipart body whose table is read from its file while it is sent."""

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from urllib3.fields import RequestField

from hpo.errors import DataError

_CHUNK_BYTES = 1 << 20


class Form:
    """Text fields, and a file at the end; requests sends it piece by piece.

    Args:
        fields: Name to text.
        table: The file of the field ``table``, or None.

    Raises:
        DataError: The file is not there.
    """

    def __init__(self, fields: Mapping[str, str], table: Path | None) -> None:
        self._boundary = secrets.token_hex(16)
        self._table = table
        self._head = b"".join(self._part(name, text) for name, text in fields.items())
        self._n_bytes = 0
        if table is not None:
            if not os.access(table, os.R_OK) or not table.is_file():
                hint = "give a file with --data FILE, which this user may read"
                raise DataError(f"data: {table} cannot be read", hint=hint)
            self._n_bytes = table.stat().st_size
            self._head += self._part("table", "", table.name)
        self._tail = f"--{self._boundary}--\r\n".encode()
        if table is not None:
            self._tail = b"\r\n" + self._tail

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}"}

    def __len__(self) -> int:
        """The size of the whole, in bytes."""
        return len(self._head) + self._n_bytes + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Give the whole, piece by piece."""
        yield self._head
        if self._table is not None:
            with self._table.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        yield self._tail

    def _part(self, name: str, text: str, filename: str | None = None) -> bytes:
        field = RequestField(name, text, filename)
        field.make_multipart(content_type="application/octet-stream" if filename else None)
        end = "" if filename else "\r\n"
        return f"--{self._boundary}\r\n{field.render_headers()}{text}{end}".encode()

"""The size of a table before it is read: a small file may unpack to one that fills the memory."""

import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from hpo.data.tables import BINARY_FORMATS, COMPRESSED_ENDINGS
from hpo.errors import DataError, first_line

_CHUNK_BYTES = 1 << 20
_CELL_BYTES = 8
"""What a cell takes at least, whatever the file needs for it."""


def unpacked_size(path: Path, enough: int) -> int:
    """Give how many bytes a file's table has when it is unpacked; counts no further than enough.

    Raises:
        DataError: The file is not what its ending says.
    """
    ending = path.suffix.lower()
    n_bytes = path.stat().st_size
    try:
        if ending in COMPRESSED_ENDINGS:
            return _count(path, ending, enough)
        if BINARY_FORMATS.get(ending) == "parquet":
            found = pyarrow.parquet.read_metadata(path)
            groups = (found.row_group(index) for index in range(found.num_row_groups))
            cells = found.num_rows * found.num_columns * _CELL_BYTES
            return int(max(n_bytes, cells, sum(group.total_byte_size for group in groups)))
        if BINARY_FORMATS.get(ending) == "feather":
            return max(n_bytes, _size_of_feather(path, enough))
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"data: {path} cannot be read as {ending[1:]}: {first_line(error)}",
            hint="check that the file is what it is named",
        ) from error
    return n_bytes


def _count(path: Path, ending: str, enough: int) -> int:
    n_bytes = 0
    with (gzip.open if ending == ".gz" else bz2.open)(path) as file:
        while n_bytes <= enough and (chunk := file.read(_CHUNK_BYTES)):
            n_bytes += len(chunk)
    return n_bytes


def _size_of_feather(path: Path, enough: int) -> int:
    n_bytes = 0
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            n_bytes += max(batch.nbytes, batch.num_rows * batch.num_columns * _CELL_BYTES)
            if n_bytes > enough:
                break
    return n_bytes

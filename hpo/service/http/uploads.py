"""An upload becomes a file: under a name of ours, within bounds, read as any table is.

Of the client's name only the ending counts, or the whole where it is plain: letters, digits, dots.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from starlette.datastructures import UploadFile

from hpo.data.sizes import unpacked_size
from hpo.data.tables import BINARY_FORMATS, COMPRESSED_ENDINGS, CSV_ENDINGS
from hpo.definition import STUDY_NAME
from hpo.errors import HpoError
from hpo.escaping import name, quote
from hpo.service.http.problems import RefusedError
from hpo.settings import TABLE_VARIABLE

PREFIX = "hpo-upload-"


@contextmanager
def keeping(table: UploadFile, most: int) -> Iterator[Path]:
    """Keep an upload as a file of its own until the block ends; errors name it as the client does.

    Args:
        table: The upload.
        most: The largest size of what it holds, uncompressed, in bytes.

    Raises:
        RefusedError: It is too large, or of a format that is not read.
    """
    given = table.filename or ""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as directory:
        path = Path(directory, name_of(given))
        with path.open("xb") as file:
            shutil.copyfileobj(table.file, file)
        try:
            if unpacked_size(path, most) > most:
                hint = f"{TABLE_VARIABLE} of the service says how many"
                line = f"data: {path} holds more than {most} bytes"
                raise RefusedError(413, line, hint=hint)
            yield path
        except HpoError as error:
            shown = PurePosixPath(given).name or path.name
            said = [
                None if line is None else line.replace(str(path), name(shown))
                for line in (str(error), error.hint)
            ]
            error.args, error.hint = (said[0],), said[1]
            raise


def name_of(given: str) -> str:
    """Give the file name for an upload: the client's where it is plain, else one with its ending.

    Raises:
        RefusedError: The ending is that of no format that is read.
    """
    ending = _ENDING.search(given.lower())
    if ending is None:
        line = f"table: its name should end in {', '.join(_FORMATS)}, but is {quote(given)}"
        raise RefusedError(415, line, hint="convert it, or name it as what it is")
    return given if STUDY_NAME.fullmatch(given) else f"table{ending[0]}"


_FORMATS = (*CSV_ENDINGS, *BINARY_FORMATS)
_ENDING = re.compile(
    rf"({'|'.join(map(re.escape, _FORMATS))})({'|'.join(map(re.escape, COMPRESSED_ENDINGS))})?$"
)

"""`--output FILE`: a file that is whole or as it was before."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from events.kernel.errors import OutsideError, Where, error_code
from events.kernel.files import replaced

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OUTPUT_UNWRITABLE = error_code(
    "output-unwritable", "A file that was to be written cannot be; what was there before is unchanged."
)


@contextmanager
def written_file(path: Path, *, mode: int = 0o644) -> Generator[IO[bytes]]:
    """A file that replaces `path` when the block ends well.

    Raises OutsideError `output-unwritable` with nothing left behind.
    """
    try:
        with replaced(path, mode=mode) as file:
            yield file
    except OSError as error:
        raise OutsideError(
            OUTPUT_UNWRITABLE,
            "the file cannot be written",
            where=Where(file=str(path)),
            why=error.strerror or str(error),
            next="name another file with --output FILE",
        ) from error

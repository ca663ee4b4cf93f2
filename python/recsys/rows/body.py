"""Rows that arrive as the body of a request: bounded in size, spooled to a file, then loaded as files are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from recsys.contracts.errors import RecsysError
from recsys.contracts.rows import RowKind, RowsLoaded
from recsys.control.plane import ControlPlane
from recsys.pipelines.input.errors import InputError
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.rows.load import LoadMode, RowsError, load_rows

MAX_BODY_BYTES = 64 * 1024 * 1024
SUFFIXES = {
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/json": ".json",
    "text/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet",
}
"""Media types that rows may come in. ``application/json`` is an array of rows."""


class BodyTooLargeError(RecsysError):
    """The body is over the limit; send it in parts, all but the first with mode ``merge``."""


class MediaTypeError(RecsysError):
    """The body is of a type that holds no rows."""


def load_body(
    plane: ControlPlane,
    tenant_id: str,
    kind: RowKind,
    body: Iterable[bytes],
    media_type: str,
    *,
    scratch: Path,
    surface: str | None = None,
    mode: LoadMode = "replace",
    actor: str,
    max_bytes: int = MAX_BODY_BYTES,
) -> RowsLoaded:
    """Load the rows of a body given in pieces, all or none; see :func:`~recsys.rows.load.load_rows`.

    ``surface`` is that of every row, where rows do not say. Raises :class:`BodyTooLargeError`,
    :class:`MediaTypeError`, and :class:`RowsError` naming row and field (rows count from 1, lines in text).
    """
    suffix = SUFFIXES.get(media_type.partition(";")[0].strip().lower())
    if suffix is None:
        raise MediaTypeError(f"content-type {media_type!r}: rows come as {', '.join(SUFFIXES)}")
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="body-", dir=scratch) as folder:
        path = Path(folder) / f"body{suffix}"
        size = 0
        with path.open("wb") as file:
            for piece in body:
                size += len(piece)
                if size > max_bytes:
                    raise BodyTooLargeError(
                        f"the body has over {max_bytes} bytes: send it in parts, "
                        "all but the first with mode=merge"
                    )
                file.write(piece)
        if suffix == ".json":
            path = _to_lines(path)
        mapping = None if surface is None else ColumnMapping(constants={"surface": surface})
        try:
            return load_rows(
                plane, tenant_id, kind, find_input_files([path]), mapping, mode=mode, actor=actor
            )
        except InputError as error:
            raise RowsError(str(error).replace(str(path), "body")) from error


def _to_lines(path: Path) -> Path:
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[dict[str, msgspec.Raw]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RowsError(f"body: not an array of rows: {error}") from error
    lines = path.with_suffix(".jsonl")
    lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    return lines

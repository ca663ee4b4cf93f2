"""Rows of DB-only mode over HTTP; the process that starts the workers makes releases of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from recsys.contracts.http import MAX_BODY_BYTES, Name
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rows import CatalogRow, CoocRow, PopularityRow, RowKind
from recsys.rows.body import BodyTooLargeError, MediaTypeError, load_body
from recsys.rows.load import RowsError
from recsys.service.bodies import decode_query
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.transport import JSON_TYPE, Request, Response, json_response

LINES_TYPE = "application/x-ndjson"
_WHOLE_BY_THEMSELVES = (JSON_TYPE, "application/vnd.apache.parquet")
"""Types of which a part is no body. Of lines, a part looks like the whole, and would replace it."""
_Row = CatalogRow | PopularityRow | CoocRow
_Decode = Callable[[bytes], Sequence[_Row]]
_DECODE: dict[RowKind, _Decode] = {
    "catalog": msgspec.json.Decoder(list[CatalogRow]).decode,
    "popularity": msgspec.json.Decoder(list[PopularityRow]).decode,
    "cooc": msgspec.json.Decoder(list[CoocRow]).decode,
}


class SignalsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``surface`` is that of rows which name none (in CSV, JSON Lines and Parquet, of all); ``mode`` merge
    keeps rows of the day that do not come.
    """

    surface: Name | None = None
    mode: Literal["replace", "merge"] = "replace"


class AdminSignals:
    """The handler of one kind of rows."""

    def __init__(self, state: State, kind: RowKind) -> None:
        self._state = state
        self._kind = kind

    def put(self, request: Request) -> Response:
        """Load all rows of the body, or none."""
        self._state.plane.tenant(request.principal.tenant_id)  # an unknown one is told before its rows are
        query = decode_query(request, SignalsQuery)
        media_type = request.headers.get("content-type") or ""
        essence = media_type.partition(";")[0].strip().lower()
        # A chunked body that breaks off reads like one that ends, so lines have to say their length.
        if essence not in _WHOLE_BY_THEMSELVES and "content-length" not in request.headers:
            detail = f"content-length: needed with {essence or 'rows'}, for lines that break off look whole"
            raise ProblemError(ProblemCode.INVALID_REQUEST, detail)
        body, surface = request.body, query.surface
        if essence == JSON_TYPE:
            body, media_type, surface = self._to_lines(body, surface), LINES_TYPE, None
        try:
            loaded = load_body(
                self._state.plane,
                request.principal.tenant_id,
                self._kind,
                [body],
                media_type,
                scratch=self._state.data_dir / "cache" / "rows",
                surface=surface,
                mode=query.mode,
                actor=request.principal.subject,
                max_bytes=2 * MAX_BODY_BYTES,
            )
        except MediaTypeError as error:
            raise ProblemError(ProblemCode.UNSUPPORTED_MEDIA_TYPE, str(error)) from error
        except BodyTooLargeError as error:
            raise ProblemError(ProblemCode.PAYLOAD_TOO_LARGE, str(error)) from error
        except RowsError as error:
            raise ProblemError(ProblemCode.INVALID_REQUEST, str(error)) from error
        return json_response(200, loaded)

    def _to_lines(self, body: bytes, surface: str | None) -> bytes:
        """Return an array of rows as lines, with a surface where they name none.

        An error names the row, counted from 0, and the field.
        """
        try:
            rows = _DECODE[self._kind](body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProblemError(ProblemCode.INVALID_REQUEST, str(error)) from error
        if surface is not None:
            rows = [row if row.surface else replace(row, surface=surface) for row in rows]
        return msgspec.json.Encoder().encode_lines(rows)

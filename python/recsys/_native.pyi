"""The native extension: mapped catalogs, signals and session indexes, their builders, and the ranker.

Every function raises :class:`recsys.contracts.errors.ArtifactError` for a file that is not sound (the message
names file and section), :class:`~recsys.contracts.errors.BuildError` for bad builder input, and releases the
GIL while it works, except in a rank call that is brief anyway.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, Self, final

from typing_extensions import Buffer

__all__ = [
    "FORMAT_VERSION",
    "AppendFile",
    "Catalog",
    "CoocBuilder",
    "ImplicitBuilder",
    "Item",
    "ItemGroup",
    "LogScanner",
    "PlainReader",
    "PlainRequest",
    "Plan",
    "PopularityBuilder",
    "Pseudonyms",
    "Ranked",
    "RuleSet",
    "Rung",
    "SessionIndex",
    "SessionKnnBuilder",
    "SessionSeqBuilder",
    "Signal",
    "SignalPacker",
    "Source",
    "build_catalog",
    "build_content_sim",
    "frame_exposure",
    "hash_strings",
    "make_request_id",
    "ordinals_of",
    "verify",
]

FORMAT_VERSION: int

def verify(path: str) -> str:
    """Check header, section table and every section's checksum and content; return a JSON report."""

@final
class Item:
    """What a catalog says of one item. Times are Unix milliseconds; absent values are ``None``."""

    @property
    def item_id(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def tags(self) -> list[str]: ...
    @property
    def brand(self) -> str | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def price(self) -> float | None: ...
    @property
    def created_at_ms(self) -> int | None: ...
    @property
    def valid_until_ms(self) -> int | None: ...
    @property
    def available(self) -> bool: ...

@final
class Catalog:
    """A mapped catalog: item ids in byte order (an ordinal is a position in it) and their attributes."""

    @staticmethod
    def open(path: str) -> Catalog: ...
    @property
    def path(self) -> str: ...
    @property
    def n_items(self) -> int: ...
    @property
    def ids_digest(self) -> str:
        """Hex SHA-256 of the item ids alone; a signal names the catalog that it belongs to by this."""
    @property
    def metadata(self) -> str:
        """The metadata block, a JSON object."""
    def ordinal(self, item_id: str) -> int | None: ...
    def item(self, item_id: str) -> Item | None: ...
    def item_at(self, ordinal: int) -> Item: ...
    def tag_counts(self) -> list[tuple[str, int]]:
        """Every tag with the number of its items, in byte order of the tag."""

@final
class Signal:
    """A mapped signal: key -> ranked list of (item, score)."""

    @staticmethod
    def open(path: str) -> Signal: ...
    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def key_type(self) -> Literal["segment", "item", "user"]: ...
    @property
    def n_keys(self) -> int: ...
    @property
    def n_entries(self) -> int: ...
    @property
    def ids_digest(self) -> str: ...
    @property
    def metadata(self) -> str: ...
    def keys(self, offset: int, limit: int) -> list[str]:
        """String keys (segments, users) in byte order; empty for an item-keyed signal."""
    def ranked(self, catalog: Catalog, key: str, limit: int) -> list[tuple[str, float]] | None:
        """The list of one key, best first, or ``None`` when the signal does not know the key."""
    def list_lengths(self) -> list[int]:
        """The length of every key's list."""

@final
class SessionIndex:
    """A mapped session index (kind ``session_knn``): past sessions, searched at request time."""

    @staticmethod
    def open(path: str) -> SessionIndex: ...
    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> Literal["session_knn"]: ...
    @property
    def n_items(self) -> int:
        """Items of the catalog, each with a list of its latest sessions."""
    @property
    def n_sessions(self) -> int: ...
    @property
    def n_entries(self) -> int:
        """(session, item) pairs."""
    @property
    def sessions_per_item(self) -> int:
        """Most sessions that an item keeps."""
    @property
    def ids_digest(self) -> str: ...
    @property
    def metadata(self) -> str: ...
    def ranked(
        self,
        catalog: Catalog,
        item_id: str,
        limit: int,
        *,
        recent_sessions: int = 500,
        neighbors: int = 100,
    ) -> list[tuple[str, float]] | None:
        """What the neighbours of a session of one item say, best first; ``None`` for an unknown item."""
    def list_lengths(self) -> list[int]:
        """How many sessions each item keeps."""
    def session_lengths(self) -> list[int]:
        """How many items each session has, the latest session first."""

def build_catalog(
    path: str,
    item_ids: Sequence[str],
    *,
    titles: Sequence[str | None] | None = None,
    tags: Sequence[Sequence[str]] | None = None,
    brands: Sequence[str | None] | None = None,
    categories: Sequence[str | None] | None = None,
    prices: Sequence[float | None] | None = None,
    created_at_ms: Sequence[int | None] | None = None,
    valid_until_ms: Sequence[int | None] | None = None,
    available: Sequence[bool] | None = None,
    metadata: str = "{}",
) -> str:
    """Write a catalog file; return its hex SHA-256. Ids must be unique and non-empty, in any order."""

@final
class SignalPacker:
    """Turns (key, item, score) rows of any origin, in any order, into a signal."""

    def __new__(
        cls, catalog: Catalog, *, kind: str, key_type: Literal["segment", "item", "user"]
    ) -> Self: ...
    def push(self, key: str, item_ids: Sequence[str], scores: Sequence[float]) -> None: ...
    def finish(self, path: str, *, metadata: str = "{}") -> str: ...
    @property
    def unknown_items(self) -> int: ...

@final
class PopularityBuilder:
    """Popularity with half-life decay: sum of weight x 2^(-age/half_life), per segment and for all."""

    def __new__(
        cls,
        catalog: Catalog,
        *,
        now_ms: int,
        half_life_ms: float | None,
        memory_bytes: int,
        scratch_dir: str,
        threads: int = 0,
    ) -> Self: ...
    def push(
        self, segments: Sequence[str], segment_codes: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer
    ) -> None:
        """Add rows: codes u32 into ``segments`` and ordinals u32, times i64 (Unix ms), weights f64, equal
        length.
        """
    def finish(self, path: str, *, metadata: str = "{}") -> str:
        """Write the signal (metadata gains counts) and return its hex SHA-256."""

@final
class CoocBuilder:
    """Co-visitation over sessions; deterministic whatever the order of the rows."""

    def __new__(
        cls,
        catalog: Catalog,
        *,
        normalization: Literal["count", "cosine", "jaccard", "lift", "confidence"] = "cosine",
        window_ms: int | None = None,
        min_support: int = 2,
        top_n: int = 100,
        max_items_per_session: int = 200,
        memory_bytes: int,
        scratch_dir: str,
        threads: int = 0,
    ) -> Self: ...
    def push(self, sessions: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer) -> None:
        """Add rows: session keys u64 (``hash_strings``), ordinals u32, times i64 (Unix ms), weights f32."""
    def finish(self, path: str, *, metadata: str = "{}") -> tuple[str, int]:
        """Write the signal; return its hex SHA-256, and the sessions over the cap, which were sampled."""

@final
class SessionSeqBuilder:
    """What comes after an item in a session, and how soon; deterministic whatever the order of the rows."""

    def __new__(
        cls,
        catalog: Catalog,
        *,
        normalization: Literal["count", "confidence"] = "confidence",
        decay: float = 0.8,
        max_distance: int = 10,
        min_support: int = 2,
        top_n: int = 100,
        max_items_per_session: int = 200,
        memory_bytes: int,
        scratch_dir: str,
        threads: int = 0,
    ) -> Self: ...
    def push(self, sessions: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer) -> None:
        """As :meth:`CoocBuilder.push`."""
    def finish(self, path: str, *, metadata: str = "{}") -> tuple[str, int]:
        """As :meth:`CoocBuilder.finish`."""

@final
class SessionKnnBuilder:
    """Past sessions by recency, made ready to be searched; deterministic whatever the order of the rows."""

    def __new__(
        cls,
        catalog: Catalog,
        *,
        sessions_per_item: int = 2000,
        max_items_per_session: int = 200,
        memory_bytes: int,
        scratch_dir: str,
        threads: int = 0,
    ) -> Self: ...
    def push(self, sessions: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer) -> None:
        """As :meth:`CoocBuilder.push`; of a weight, only whether it is 0 matters."""
    def finish(self, path: str, *, metadata: str = "{}") -> tuple[str, int]:
        """As :meth:`CoocBuilder.finish`, of the index."""

@final
class ImplicitBuilder:
    """Lists of users from their own items and a signal of item neighbours."""

    def __new__(
        cls,
        catalog: Catalog,
        neighbours: Signal,
        *,
        top_n: int = 100,
        max_history: int = 100,
        half_life_ms: float | None = None,
        drop_taken: bool = True,
        memory_bytes: int,
        scratch_dir: str,
        threads: int = 0,
    ) -> Self: ...
    def push(self, users: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer) -> None:
        """Add rows: 32 bytes of a pseudonym each, ordinals u32, times i64 (Unix ms), weights f32."""
    def finish(self, path: str, *, metadata: str = "{}") -> str: ...

def build_content_sim(
    path: str,
    catalog: Catalog,
    *,
    top_n: int = 100,
    max_share: float = 0.05,
    scratch_dir: str,
    threads: int = 0,
    metadata: str = "{}",
) -> str:
    """Write likeness of items by content; return the file's hex SHA-256."""

def hash_strings(offsets: Buffer, data: Buffer) -> bytes:
    """64-bit hashes (u64, little-endian) of an Arrow string array given by its i32 or i64 offsets and its
    bytes.
    """

def ordinals_of(catalog: Catalog, offsets: Buffer, data: Buffer) -> bytes:
    """Ordinals (u32, little-endian; 0xFFFFFFFF unknown) of an Arrow string array of item ids."""

@final
class AppendFile:
    """A new file that only grows, closed when nothing refers to it any more; errors are ``OSError``."""

    def __new__(cls, path: PathLike[str], mode: int) -> Self: ...
    def write(self, data: bytes) -> int:
        """One ``write(2)``; returns how many bytes it took. Keeps the GIL."""
    def fileno(self) -> int: ...

@final
class Pseudonyms:
    """Pseudonyms under one salt: lower-case hex HMAC-SHA256, 64 characters."""

    def __new__(cls, salt: bytes) -> Self: ...
    def of(self, user_id: str) -> str:
        """As :func:`recsys.contracts.pseudonym.pseudonym`."""

def make_request_id() -> str:
    """A UUID version 7 (RFC 9562, section 5.7); each of a process is greater than those before it."""

def frame_exposure(
    request_id: str, user: str, at_us: int, context: bytes, latency_ms: float, is_error: bool, /
) -> tuple[bytes, bytes]:
    """The line of an exposure before and after its items, as msgspec encodes the record, and a newline.

    ``user`` is a pseudonym, ``at_us`` a Unix time in microseconds, ``context`` the members of its JSON object
    without the braces.
    """

# ---- ranking ----

@final
class PlainReader:
    """Reads the bodies of requests that ask for nothing special, in one pass.

    ``None`` is the answer to anything else, and to what may be wrong in any way: unknown members, values out
    of bounds, ids that may look personal, escaped text.
    """

    def __new__(cls, *, k: int, anchors: int, excluded: int, tags: int, user_id: int, label: int) -> Self:
        """The bounds of the contract: the longest list, the most entries of each kind, the longest texts."""
    def recommend(self, body: bytes) -> PlainRequest | None:
        """Read a :class:`recsys.contracts.http.RecommendRequest`; it names a user."""
    def similar(self, body: bytes) -> PlainRequest | None:
        """Read a :class:`recsys.contracts.http.SimilarRequest`."""

@final
class PlainRequest:
    """What such a body asks for."""

    @property
    def surface(self) -> str: ...
    @property
    def segment(self) -> str | None: ...
    @property
    def user(self) -> str | None:
        """The id that stands for the user: the first one given."""
    @property
    def context(self) -> tuple[str | None, str | None, str | None] | None:
        """Locale, device and country; ``None`` when none is given."""
    @property
    def k(self) -> int | None: ...

@final
class Source:
    """One signal in a mode: whose list is looked up, how its values are normalised, and its weight."""

    def __new__(
        cls,
        name: str,
        signal: Signal,
        *,
        key: str | None = None,
        weight: float,
        weight_group: Literal["pop", "cooc", "emb"],
        normalizer: Literal["saturating", "max", "none"] = "saturating",
    ) -> Self:
        """``key`` names the segment of a segment-keyed signal; item-keyed signals use the request's
        anchors, user-keyed ones its user.
        """
    @staticmethod
    def of_sessions(
        name: str,
        index: SessionIndex,
        *,
        recent_sessions: int,
        neighbors: int,
        last_items: int,
        weight: float,
        weight_group: Literal["pop", "cooc", "emb"],
        normalizer: Literal["saturating", "max", "none"] = "saturating",
    ) -> Source:
        """Past sessions like that of the ``last_items`` (1 to 9) latest anchors; see ``docs/ranking.md``."""

@final
class Rung:
    """One rung of the ladder against empty lists: a segment's list of a signal, or the newest of the
    catalog.
    """

    @staticmethod
    def of_signal(name: str, signal: Signal, key: str) -> Rung: ...
    @staticmethod
    def newest(name: str) -> Rung: ...

@final
class ItemGroup:
    """The items behind one tag, brand or category of a catalog."""

    @staticmethod
    def find(catalog: Catalog, targets: Sequence[tuple[str, str]]) -> list[ItemGroup]:
        """Return the group of each (``TAG``, ``BRAND`` or ``CATEGORY``; name), all in one pass."""
    @property
    def n_items(self) -> int:
        """How many there are, without naming them."""
    @property
    def item_ids(self) -> list[str]:
        """The ids, in byte order; empty when the catalog does not know the name."""

@final
class RuleSet:
    """Rules resolved to ordinals, in order of authority (priority, then document order)."""

    def __new__(
        cls,
        catalog: Catalog,
        *,
        blocked: Sequence[tuple[str, Sequence[str] | ItemGroup]] = ...,
        boosts: Sequence[tuple[str, Sequence[str] | ItemGroup, float]] = ...,
        pins: Sequence[tuple[str, Sequence[str] | ItemGroup]] = ...,
        max_pins: int = 3,
    ) -> Self:
        """Each entry is (rule id, items[, multiplier]). Unknown item ids are ignored."""

@final
class Plan:
    """Everything that is the same for all requests of one surface, segment and mode. Immutable, thread-
    safe.
    """

    def __new__(
        cls,
        catalog: Catalog,
        sources: Sequence[Source],
        *,
        ladder: Sequence[Rung] = ...,
        rules: RuleSet | None = None,
        anchor_decay: float = 1.0,
        brand_cap: int | None = None,
        category_cap: int | None = None,
        mmr_lambda: float | None = None,
        mmr_pool: int = 200,
    ) -> Self: ...
    def rank(
        self,
        k: int,
        now_ms: int,
        *,
        anchors: Sequence[str] = ...,
        user: str | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = ...,
        required_tags: Sequence[str] = ...,
        forbidden_tags: Sequence[str] = ...,
        max_per_tag: Mapping[str, int] | None = None,
        weights: tuple[float, float, float] | None = None,
        offset: int = 0,
        seen: Sequence[str] = ...,
        damping: float | None = None,
        explain: bool = False,
    ) -> Ranked:
        """Rank one request.

        ``damping``, 0 to 1, multiplies the scores of ``seen`` items; ``None`` leaves them out, but for pins.
        """
    def rank_plain(
        self,
        request: PlainRequest,
        k: int,
        now_ms: int,
        user: str,
        weights: tuple[float, float, float] | None = None,
        /,
    ) -> Ranked:
        """As :meth:`rank`, for a request that was read natively; ``user`` is its key of signals."""

@final
class Ranked:
    """A ranked list and what a response says about it."""

    def __len__(self) -> int: ...
    @property
    def item_ids(self) -> list[str]: ...
    @property
    def scores(self) -> list[float]: ...
    def encode_items(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """``before``, the JSON array of ``item_id``, ``rank`` and ``score``, and ``after``, in one piece.

        The array is what msgspec gives for as many :class:`recsys.contracts.http.RankedItem`.
        """
    def encode_exposed(self, before: bytes, after: bytes, *, first_rank: int = 1) -> bytes:
        """As :meth:`encode_items`, for :class:`recsys.contracts.records.ExposedItem`: without the scores."""
    def answer(
        self,
        request_id: str,
        user: str,
        latency_s: float,
        members: bytes,
        *,
        meta: bytes,
        context: bytes,
        warnings: bytes,
    ) -> tuple[bytes, bytes]:
        """The body of the response, and the line of the exposure at the current time, newline and all.

        ``members`` are the JSON members with which ``meta`` and the context of the exposure both begin;
        ``meta`` and ``context`` what follows in each, every member after a comma; ``warnings`` an array.
        """
    @property
    def reasons(self) -> list[list[str]]:
        """Per item: names of the sources that gave it, ``pin:RULE``, ``boost:RULE``, ``fallback:RUNG``."""
    @property
    def contributions(self) -> list[list[tuple[str, float, float, float]]]:
        """Per item, with ``explain``: (source, raw value, normalised value, weighted value), or for an item
        of a rung (rung, raw value, score, score). Their sum times boosts and damping is the score.
        """
    @property
    def dampings(self) -> list[float | None]:
        """Per item, what its score was multiplied by because it was seen."""
    @property
    def mmr_steps(self) -> list[tuple[int, float, float, float, float] | None]:
        """Per item that MMR took: (place by score from 0, lambda, relevance, largest similarity to the items
        before it, lambda x relevance - (1 - lambda) x similarity).
        """
    @property
    def filtered_items(self) -> list[tuple[str, str, str | None]]:
        """With ``explain``, the first 50 items left out: (item id, filter, the rule if one blocks it)."""
    @property
    def boosts(self) -> list[list[tuple[str, float]]]:
        """Per item, with ``explain``: (rule id, multiplier)."""
    @property
    def rungs(self) -> list[str]:
        """The fallback rungs that gave an item, in order."""
    @property
    def pins_injected(self) -> list[str]:
        """Ids of pinned items that no source had found."""
    @property
    def source_keys(self) -> list[tuple[str, int, int]]:
        """Per source: (name, keys asked for, keys found)."""
    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to warn about, an allow-list aside: some items, every key found, and
        nothing dropped by a constraint, injected or refilled.
        """
    @property
    def candidates(self) -> list[tuple[str, int]]:
        """Per source, with ``explain``: (name, candidates gathered)."""
    @property
    def filtered(self) -> dict[str, int]:
        """How many considered items each filter dropped: unavailable, expired, excluded, not_included,
        blocked, required_tags, forbidden_tags, seen, max_per_tag, brand_cap, category_cap.
        """
    @property
    def include_unknown(self) -> int:
        """How many of ``include`` the catalog does not know."""
    @property
    def stage_us(self) -> dict[str, float]:
        """With ``explain``: microseconds of gather, select and finish."""

@final
class LogScanner:
    """Reads blocks of log lines into columns; see ``recsys.eventlog.scan``, which makes tables of them."""

    def __new__(cls, role: str, *, oldest_us: int, newest_us: int, with_names: bool) -> Self: ...
    def scan(
        self, block: bytes
    ) -> tuple[
        int,
        list[tuple[int, int, int, bool]],
        list[tuple[int, list[tuple[str, str]]]],
        list[dict[str, bytes]],
    ]:
        """Return lines, doubtful ones (line, start, end, whether kept), new contexts, and columns per piece.

        ``block`` is whole lines, only the last of which may lack its newline.
        """

"""The implicit artifact by alternating least squares (Hu, Koren and Volinsky 2008), of the library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsys._native import Catalog, SignalPacker
from recsys.contracts.errors import BuildError
from recsys.pipelines.build.implicit import ImplicitOptions, read_users
from recsys.pipelines.build.interactions import Tally
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.signals import require_window, signal_report
from recsys.pipelines.build.users import PSEUDONYM_BYTES

_USERS_PER_BATCH = 1000


@dataclass(frozen=True)
class AlsOptions:
    """``alpha`` multiplies the weights of interactions; the factors start from ``seed``."""

    factors: int = 64
    regularization: float = 0.05
    alpha: float = 1.0
    iterations: int = 15
    seed: int = 1


def build_als(
    catalog: Catalog, given: BuildInput, out: Path, options: ImplicitOptions, als: AlsOptions
) -> BuildReport:
    """Write the implicit signal to ``out`` from factors of users and items; times do not matter.

    Rows are held in memory, 44 bytes each. Raises :class:`BuildError` when the library is not installed and
    when no row counts, and what :func:`read_users` raises.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415 - an extra
        from scipy.sparse import csr_matrix  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415
    except ImportError as error:
        raise BuildError("ALS needs the extra: pip install 'recsys[als]'") from error
    tally = Tally()
    parts = [
        (pseudonyms, rows.ordinals, rows.weights)
        for rows, pseudonyms in read_users(catalog, given, options.selection, tally, options.users)
    ]
    window = require_window(tally)
    names, users = _number(np.concatenate([part[0] for part in parts]))
    items = np.concatenate([part[1] for part in parts]).astype(np.int64)
    weights = np.concatenate([part[2] for part in parts])
    # Sums of equal cells are taken in an order that the content fixes.
    order = np.lexsort((weights, items, users))
    shape = (len(names), catalog.n_items)
    matrix = csr_matrix((weights[order].astype(np.float32), (users[order], items[order])), shape=shape)
    matrix.sum_duplicates()
    given.begin("fitting and writing", None)
    # One thread: with several, the solver and the algebra below it give other floats.
    with threadpool_limits(1):
        model = AlternatingLeastSquares(
            factors=als.factors,
            regularization=als.regularization,
            alpha=als.alpha,
            iterations=als.iterations,
            num_threads=1,
            random_state=als.seed,
        )
        model.fit(matrix, show_progress=False)
    item_ids = [catalog.item_at(ordinal).item_id for ordinal in range(catalog.n_items)]
    packer = SignalPacker(catalog, kind="implicit", key_type="user")
    for start in range(0, len(names), _USERS_PER_BATCH):
        batch = np.arange(start, min(start + _USERS_PER_BATCH, len(names)))
        found, scores = model.recommend(
            batch, matrix[batch], N=options.top_n, filter_already_liked_items=options.drop_taken
        )
        for user, own_items, own_scores in zip(batch, found, scores, strict=True):
            # The library fills short lists up with what was to be left out, at the lowest float.
            good = (own_items >= 0) & (own_scores > np.finfo(np.float32).min)
            packer.push(
                names[user],
                [item_ids[item] for item in own_items[good]],
                own_scores[good].astype(float).tolist(),
            )
    params: dict[str, object] = {
        "model": "als",
        "factors": als.factors,
        "regularization": als.regularization,
        "alpha": als.alpha,
        "iterations": als.iterations,
        "seed": als.seed,
        "top_n": options.top_n,
        "drop_taken": options.drop_taken,
        "event_weights": dict(options.selection.event_weights),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    sha256 = packer.finish(str(out), metadata=metadata_of(params, window=window, rows=tally.rows))
    return signal_report("implicit", out, sha256, tally, given, window)


def _number(pseudonyms: npt.NDArray[np.uint8]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the distinct pseudonyms in order as hex, and the number of each row's."""
    keys = np.ascontiguousarray(pseudonyms).view(f"V{PSEUDONYM_BYTES}").ravel()
    distinct, numbers = np.unique(keys, return_inverse=True)
    return [key.tobytes().hex() for key in distinct], numbers.astype(np.int64)

"""``recsys artifact build``: the signals beside popularity and co-visitation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.artifact_build import (
    NO_INPUT,
    InputOptions,
    Resources,
    SelectionOptions,
    build_input,
    build_signal,
    select_rows,
    show_report,
)
from recsys.cli.console import JsonFlag, progress

if TYPE_CHECKING:
    from recsys.pipelines.build.users import Users

Paths = Annotated[list[Path], Parameter(negative="", help="Interaction files, folders or globs.")]
Count = Annotated[int, Parameter(validator=Number(gte=1, lte=2**31))]
_ALL = SelectionOptions()
_RESOURCES = Resources()


@Parameter(name="*")
@dataclass(frozen=True)
class UserOptions:
    """Whose items: how user ids become the pseudonyms that requests are looked up by. One of the three."""

    salt_file: Annotated[Path | None, Parameter(help="File with the tenant's salt.")] = None
    salt_tenant: Annotated[str | None, Parameter(help="Tenant of the control store whose salt is taken.")] = (
        None
    )
    pseudonyms: Annotated[
        bool, Parameter(negative="", help="User ids are pseudonyms already, as in our own logs.")
    ] = False
    data_dir: Annotated[Path, Parameter(help="The data folder; the store is in control/ there.")] = Path(
        "data"
    )


@Parameter(name="*")
@dataclass(frozen=True)
class AlsFlags:
    """Parameters of ALS."""

    factors: Count = 64
    regularization: Annotated[float, Parameter(validator=Number(gte=0))] = 0.05
    alpha: Annotated[float, Parameter(validator=Number(gt=0))] = 1.0
    iterations: Count = 15
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 1


_NO_USERS = UserOptions()
_ALS = AlsFlags()


def session_seq(
    paths: Paths,
    *,
    catalog: Path,
    out: Path,
    normalization: Literal["count", "confidence"] = "confidence",
    within: Literal["session", "user"] = "session",
    decay: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 0.8,
    max_distance: Count = 10,
    min_support: Count = 2,
    top_n: Count = 100,
    max_items_per_session: Annotated[int, Parameter(validator=Number(gte=2, lte=2**31))] = 200,
    reading: InputOptions = NO_INPUT,
    selection: SelectionOptions = _ALL,
    resources: Resources = _RESOURCES,
    json: JsonFlag = False,
) -> None:
    """Build session sequences: what comes after an item in a session, the sooner the better.

    Parameters
    ----------
    catalog
        The catalog that the items belong to.
    out
        The file to write.
    normalization
        Whether an item's sums are divided by its sessions.
    within
        What is one sequence: the rows of a session, or all rows of a user.
    decay
        What each further step is worth of the step before it.
    max_distance
        The most steps between two items of a pair; events at one moment are one step.
    min_support
        The fewest sessions that a pair needs.
    top_n
        How many successors an item keeps.
    max_items_per_session
        Longer sessions are sampled down to this, the same way every time.
    """
    from recsys.pipelines.build.request import parse_size
    from recsys.pipelines.build.session_seq import SessionSeqOptions, build_session_seq

    options = SessionSeqOptions(
        normalization=normalization,
        within=within,
        decay=decay,
        max_distance=max_distance,
        min_support=min_support,
        top_n=top_n,
        max_items_per_session=max_items_per_session,
        selection=select_rows(selection),
        memory_bytes=parse_size(resources.memory),
        threads=resources.threads,
    )
    build_signal(build_session_seq, options, paths, catalog, out, reading, as_json=json)


def session_knn(
    paths: Paths,
    *,
    catalog: Path,
    out: Path,
    sessions_per_item: Count = 2000,
    max_items_per_session: Annotated[int, Parameter(validator=Number(gte=2, lte=2**31))] = 200,
    reading: InputOptions = NO_INPUT,
    selection: SelectionOptions = _ALL,
    resources: Resources = _RESOURCES,
    json: JsonFlag = False,
) -> None:
    """Build the session index: past sessions, searched at request time for those like the current one.

    Parameters
    ----------
    catalog
        The catalog that the items belong to.
    out
        The file to write.
    sessions_per_item
        How many of its latest sessions an item keeps; a search looks at no more.
    max_items_per_session
        Longer sessions are sampled down to this, the same way every time.
    """
    from recsys.pipelines.build.request import parse_size
    from recsys.pipelines.build.session_knn import SessionKnnOptions, build_session_knn

    options = SessionKnnOptions(
        sessions_per_item=sessions_per_item,
        max_items_per_session=max_items_per_session,
        selection=select_rows(selection),
        memory_bytes=parse_size(resources.memory),
        threads=resources.threads,
    )
    build_signal(build_session_knn, options, paths, catalog, out, reading, as_json=json)


def content_sim(
    *,
    catalog: Path,
    out: Path,
    top_n: Count = 100,
    max_share: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 0.05,
    threads: Annotated[int, Parameter(validator=Number(gte=0, lte=1024))] = 0,
    json: JsonFlag = False,
) -> None:
    """Build likeness of items by tags, brand, category and title: cosine of TF-IDF.

    Parameters
    ----------
    catalog
        The catalog.
    out
        The file to write.
    top_n
        How many neighbours an item keeps.
    max_share
        Terms of a larger share of the items, and of more than 100, say nothing and are left out.
    threads
        Threads; 0 takes all cores.
    """
    from recsys._native import Catalog
    from recsys.pipelines.build.content_sim import build_content
    from recsys.pipelines.build.request import refuse_overwriting

    refuse_overwriting(out, [catalog])
    with progress() as begin:
        report = build_content(
            Catalog.open(str(catalog)), out, top_n=top_n, max_share=max_share, threads=threads, begin=begin
        )
    show_report(report, as_json=json)


def implicit(
    paths: Paths,
    *,
    catalog: Path,
    out: Path,
    model: Literal["item-based", "als"] = "item-based",
    cooc: Path | None = None,
    top_n: Count = 100,
    max_history: Count = 100,
    half_life: str | None = None,
    keep_taken: Annotated[bool, Parameter(negative="")] = False,
    users: UserOptions = _NO_USERS,
    als: AlsFlags = _ALS,
    reading: InputOptions = NO_INPUT,
    selection: SelectionOptions = _ALL,
    resources: Resources = _RESOURCES,
    json: JsonFlag = False,
) -> None:
    """Build the items of each user, from what the user has taken.

    Parameters
    ----------
    catalog
        The catalog that the items belong to.
    out
        The file to write.
    model
        Item-based scoring from co-visitation, or ALS by the implicit library (extra als).
    cooc
        The co-visitation signal that item-based scoring takes neighbours from.
    top_n
        How many items a user keeps.
    max_history
        How many of a user's latest items count.
    half_life
        This long before a user's last event a row counts half, such as 28d.
    keep_taken
        Do not leave out what the user has taken already.
    """
    from recsys._native import Catalog, Signal
    from recsys.contracts.errors import UsageError
    from recsys.pipelines.build.als import AlsOptions, build_als
    from recsys.pipelines.build.implicit import ImplicitOptions, build_implicit
    from recsys.pipelines.build.request import parse_duration, parse_size, refuse_overwriting

    if (cooc is None) == (model == "item-based"):
        raise UsageError("--cooc: item-based scoring needs the co-visitation signal, and ALS takes none")
    options = ImplicitOptions(
        users=_users(users),
        top_n=top_n,
        max_history=max_history,
        half_life_ms=None if half_life is None else parse_duration(half_life),
        drop_taken=not keep_taken,
        selection=select_rows(selection),
        memory_bytes=parse_size(resources.memory),
        threads=resources.threads,
    )
    with progress() as begin:
        given = build_input(paths, out, reading, begin, catalog=catalog)
        opened = Catalog.open(str(catalog))
        if cooc is None:
            factors = AlsOptions(als.factors, als.regularization, als.alpha, als.iterations, als.seed)
            report = build_als(opened, given, out, options, factors)
        else:
            refuse_overwriting(out, [cooc])
            report = build_implicit(opened, Signal.open(str(cooc)), given, out, options)
    show_report(report, as_json=json)


def _users(options: UserOptions) -> Users:
    from recsys.contracts.errors import UsageError
    from recsys.pipelines.build.users import Users

    given = [options.salt_file is not None, options.salt_tenant is not None, options.pseudonyms]
    if sum(given) != 1:
        raise UsageError("users: give one of --salt-file, --salt-tenant and --pseudonyms")
    if options.salt_file is not None:
        try:
            salt = options.salt_file.read_bytes().strip()
        except OSError as error:
            raise UsageError(f"--salt-file {options.salt_file}: {error.strerror}") from error
        if len(salt) < MIN_SALT_BYTES:
            raise UsageError(
                f"--salt-file {options.salt_file}: {len(salt)} bytes, a salt has {MIN_SALT_BYTES} or more"
            )
        return Users(salt)
    if options.salt_tenant is None:
        return Users(None)
    from recsys.cli.store_options import Where, control_plane

    with control_plane(Where(options.data_dir)) as plane:
        return Users(plane.tenant(options.salt_tenant).salt)


MIN_SALT_BYTES = 16

"""``recsys manifest``: list, show, compare, roll back, pin and clean up releases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import JsonFlag, print_json, print_table, print_warning
from recsys.cli.releases import IN_DATA_FOLDER, Comment, RegistryOptions, SurfaceOptions, Version, short
from recsys.cli.store_options import control_plane

if TYPE_CHECKING:
    from recsys.artifacts.compare import ItemsChange, ReleaseDiff
    from recsys.artifacts.registry import Registry
    from recsys.contracts.manifest import Manifest

app = cyclopts.App(
    name="manifest", help="List, show, compare, roll back, pin (unpin: pin --remove) and clean up releases."
)

_MAX_NAMED = 10
_Rank = Annotated[int, Parameter(validator=Number(gte=1, lte=1000))]
_Count = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]


@app.command(name="list")
def list_(*, of: SurfaceOptions, at: RegistryOptions = IN_DATA_FOLDER, json: JsonFlag = False) -> None:
    """List the releases of a surface, newest first."""
    at.settle(of)
    registry = at.open()
    history = registry.history(of.tenant, of.surface)
    current = registry.current(of.tenant, of.surface)
    pins = registry.pins(of.tenant, of.surface)
    version = None if current is None else current.manifest.version
    if json:
        print_json({"current": version, "pinned": sorted(pins), "releases": history})
        return
    if not history:
        print_warning(f"{registry.url}: no release of {of.tenant}/{of.surface}; {_what_there_is(registry)}")
        return
    print_table(
        ("", "version", "updated", "parent", "kinds", "bytes", "until", "pinned"),
        [
            (
                "*" if one.version == version else "",
                short(one.version),
                f"{one.updated_at:%Y-%m-%d %H:%M}",
                short(one.parent),
                " ".join(sorted(one.current)),
                sum(entry.bytes for entry in one.artifacts.values()),
                _until(one),
                "pinned" if one.version in pins else "",
            )
            for one in history
        ],
    )


@app.command
def show(
    version: Version | None = None,
    /,
    *,
    of: SurfaceOptions,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Show a release, without a version the current one: what it holds, and what that was built from."""
    at.settle(of)
    manifest = at.open().find(of.tenant, of.surface, version)
    if json:
        print_json(manifest)
        return
    print(f"{manifest.tenant}/{manifest.surface} {manifest.version}")
    print(f"updated {manifest.updated_at:%Y-%m-%d %H:%M:%S %Z}, parent {manifest.parent or 'none'}")
    rows: list[tuple[str, int | None, str | None, str | None, str | None]] = []
    for kind in sorted(manifest.current):
        entry = manifest.artifacts.get(kind)
        if entry is None:
            rows.append((kind, None, None, None, None))
            continue
        window = entry.window
        rows.append(
            (
                kind,
                entry.bytes,
                _counts(entry.counts),
                None if window is None else f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}",
                short(entry.sha256),
            )
        )
    print_table(("kind", "bytes", "counts", "window", "sha256"), rows)
    # Beside the others they would make every line of the table longer than a terminal is wide.
    for _, uri in sorted(manifest.current.items()):
        print(uri)


@app.command
def diff(
    before: Version | None = None,
    after: Version | None = None,
    /,
    *,
    of: SurfaceOptions,
    k: _Rank = 20,
    limit: _Count = 5,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Compare two releases; by default the parent of the current one with the current one.

    Parameters
    ----------
    before
        The release to compare with; given alone, it is compared with the current one.
    k
        How much of each list is compared.
    limit
        How many lists and items are shown.
    """
    from recsys.artifacts.compare import compare_files
    from recsys.contracts.errors import UsageError

    registry = at.open()
    new = registry.find(of.tenant, of.surface, after)
    if before is None and new.parent is None:
        raise UsageError(f"release {short(new.version)} has no parent: name a release to compare it with")
    old = registry.find(of.tenant, of.surface, before or new.parent)
    cache = at.cache()
    with cache.borrow(registry, old) as old_files, cache.borrow(registry, new) as new_files:
        found = compare_files(old_files, new_files, names=(old.version, new.version), k=k, limit=limit)
    if json:
        print_json(found)
    else:
        _print_diff(found, limit)


@app.command
def rollback(
    *,
    of: SurfaceOptions,
    to: Annotated[Version | None, Parameter(help="The release to return to (default: the parent).")] = None,
    expected: Annotated[
        str | None, Parameter(help="Refuse unless this version (in full) is the current one.")
    ] = None,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Point at an earlier release again. Nothing is built; services follow within seconds."""
    registry = at.open()
    with at.trail(of) as trail:
        manifest = registry.roll_back(
            of.tenant, of.surface, to, expected=expected, moving=trail.entering("rollback", comment)
        )
    print_json(manifest) if json else print(manifest.version)


@app.command
def pin(
    version: Version | None = None,
    /,
    *,
    of: SurfaceOptions,
    remove: Annotated[bool, Parameter(negative="", help="Take the pin away.")] = False,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
) -> None:
    """Keep a release (by default the current one) from `gc`; `pin --remove` unpins.

    A pin does not hold the pointer.
    """
    registry = at.open()
    manifest = registry.find(of.tenant, of.surface, version)
    is_pinned = manifest.version in registry.pins(of.tenant, of.surface)
    if is_pinned == remove:
        with at.trail(of) as trail:
            (registry.unpin if remove else registry.pin)(manifest)
            action = "unpin" if remove else "pin"
            trail.record(action, manifest.version, manifest.version, comment)
    print(f"{manifest.version} is {'not ' if remove else ''}pinned")


@app.command
def gc(
    *,
    keep: _Count = 10,
    min_age: str = "14d",
    dry_run: Annotated[bool, Parameter(negative="", help="Only tell what would be removed.")] = False,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Remove old releases of all tenants, and the artifacts that no release names any more.

    The current release of a surface, its parent, pinned ones and those that a draft or a running experiment
    names always stay; so does what is younger than a day.

    Parameters
    ----------
    keep
        So many of the newest releases of each surface stay.
    min_age
        Younger releases stay, such as 14d or 12h.
    """
    from recsys.artifacts.collect import ReleaseName, collect_garbage
    from recsys.control.experiment_references import named_releases
    from recsys.pipelines.build.request import parse_duration

    age = timedelta(milliseconds=parse_duration(min_age))
    named: set[ReleaseName] = set()
    if at.where.location.exists():
        with control_plane(at.where) as plane:
            named = named_releases(plane)
    registry = at.open()
    if not registry.surfaces():
        print_warning(f"{registry.url}: {_what_there_is(registry)}")
    found = collect_garbage(registry, keep=keep, min_age=age, named=named, dry_run=dry_run)
    if json:
        print_json(found)
        return
    verb = "would remove" if dry_run else "removed"
    print(
        f"{verb} {len(found.manifests):,} releases, {len(found.artifacts):,} artifacts "
        f"({found.bytes:,} bytes) and {found.unfinished_files:,} unfinished files"
    )


def _what_there_is(registry: Registry) -> str:
    """Say whose releases a registry has, for a command that was asked for others, or in another place."""
    names = [f"{tenant}/{surface}" for tenant, surface in registry.surfaces()]
    return f"there are those of {_some(names, _MAX_NAMED)}" if names else "there is no release at all"


def _counts(counts: Mapping[str, int]) -> str:
    """Return what was counted; what there is nothing of is left out, and times are the window's."""
    told = ((name, count) for name, count in counts.items() if count and not name.endswith("_ms"))
    return ", ".join(f"{count:,} {name}" for name, count in told)


def _until(manifest: Manifest) -> str | None:
    ends = [entry.window.end for entry in manifest.artifacts.values() if entry.window is not None]
    return f"{max(ends):%Y-%m-%d}" if ends else None


def _print_diff(found: ReleaseDiff, limit: int) -> None:
    print(f"{short(found.before)} -> {short(found.after)}, first {found.k} of each list")
    print_table(
        ("kind", "bytes before", "bytes after", "content"),
        [(kind, size.before, size.after, "same" if size.same else "") for kind, size in found.sizes.items()],
    )
    if found.catalog is not None:
        _print_items(found.catalog)
    for kind, signal in found.signals.items():
        overlap = "" if signal.overlap is None else f", overlap {signal.overlap:.3f}"
        coverage = [100 * share for share in (signal.item_coverage_before, signal.item_coverage_after)]
        print(
            f"{kind}: {signal.keys_before:,} -> {signal.keys_after:,} keys "
            f"({signal.keys_entering:,} enter, {signal.keys_leaving:,} leave), "
            f"{coverage[0]:.1f} % -> {coverage[1]:.1f} % of items listed{overlap}"
        )
        rows = [
            (key, change.overlap, _some(change.entering, limit), _some(change.leaving, limit))
            for key, change in signal.lists.items()
        ]
        if rows:
            print_table(("list", "overlap", "entering", "leaving"), rows)


def _print_items(items: ItemsChange) -> None:
    changes = ((items.n_entering, "enter", items.entering), (items.n_leaving, "leave", items.leaving))
    for count, verb, ids in changes:
        if count:
            print(f"catalog: {count:,} items {verb}: {', '.join(ids)}{', …' if count > len(ids) else ''}")


def _some(ids: list[str], limit: int) -> str:
    more = f" and {len(ids) - limit:,} more" if len(ids) > limit else ""
    return ", ".join(ids[:limit]) + more

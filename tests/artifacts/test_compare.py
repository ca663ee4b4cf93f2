from recsys._native import Catalog, SignalPacker
from recsys.artifacts.compare import compare_files


def test_a_diff_tells_what_enters_and_leaves(release) -> None:
    before = release("a", items=["a", "b", "c", "d"])
    after = release("e", items=["a", "b", "d", "e"])
    found = compare_files(before, after, names=("one", "two"), k=1)
    assert found.catalog is not None
    assert (found.catalog.entering, found.catalog.leaving) == (["e"], ["c"])
    popularity = found.signals["popularity"]
    assert popularity.lists["default"].entering == ["e"]
    assert popularity.lists["default"].leaving == ["a"]
    assert popularity.overlap == 0.0
    assert (popularity.item_coverage_before, popularity.item_coverage_after) == (0.25, 0.25)
    cooc = found.signals["cooc"]
    assert (cooc.overlap, cooc.lists, cooc.keys_compared) == (1.0, {}, 1)
    assert compare_files(before, after, names=("one", "two"), k=2).signals["cooc"].overlap == 0.5
    assert found.sizes["cooc"].before == before["cooc"].stat().st_size
    assert not found.sizes["cooc"].same


def test_a_release_does_not_differ_from_itself(release) -> None:
    files = release()
    found = compare_files(files, files, names=("one", "one"))
    assert all(size.same for size in found.sizes.values())
    assert all(signal.overlap == 1.0 and not signal.lists for signal in found.signals.values())


def test_keys_and_kinds_that_come_or_go_are_counted(release) -> None:
    before, after = release("a"), dict(release("b"))
    packer = SignalPacker(Catalog.open(str(after["catalog"])), kind="popularity", key_type="segment")
    packer.push("young", ["a"], [1.0])
    packer.finish(str(after["popularity"]))
    del after["cooc"]
    found = compare_files(before, after, names=("one", "two"))
    popularity = found.signals["popularity"]
    assert (popularity.keys_entering, popularity.keys_leaving) == (1, 1)
    assert (popularity.keys_compared, popularity.overlap) == (0, None)
    assert found.sizes["cooc"].after is None
    assert "cooc" not in found.signals

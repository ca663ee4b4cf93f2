import json
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys._native import Catalog, Signal
from recsys.artifacts.export_json import export_catalog, export_signal
from recsys.artifacts.import_json import import_catalog, import_signal
from recsys.artifacts.json_documents import JsonArtifact
from recsys.contracts.errors import ArtifactError

HEADER = {
    "v": 1,
    "tenant": "shop",
    "surface": "home",
    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00+01:00"},
    "build": {"built_at": "2026-02-01T03:00:00Z", "version": "7.1", "source_hash": "abc"},
}
PAYLOADS = {
    "popularity": ("items", [{"item_id": "a", "count": 3}, {"item_id": "b", "count": 0.1}]),
    "cooc": ("neighbors", [{"item_id": "a", "items": [{"item_id": "b", "count": 2}]}]),
    "implicit": (
        "users",
        [{"user_id": "u1", "items": [{"item_id": "b", "score": 0.3}]}, {"user_id": "u2", "items": []}],
    ),
    "session_seq": ("users", [{"user_id": "u1", "items": [{"item_id": "a", "score": -1.5}]}]),
    "content_sim": ("items", [{"item_id": "a", "tags": ["red", "soft"]}, {"item_id": "b", "tags": []}]),
}


def document_of(kind: str, payload: list[object] | None = None, **changes: object) -> dict[str, object]:
    name, entries = PAYLOADS[kind]
    return {**HEADER, "artifact_type": kind, name: entries if payload is None else payload, **changes}


def write(folder: Path, document: object, name: str = "in.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def there_and_back(folder: Path, document: dict[str, object]) -> object:
    """Import a document, export what came of it, and return that as JSON."""
    source = JsonArtifact(write(folder, document))
    catalog_path, signal_path, out = folder / "catalog.rsa", folder / "signal.rsa", folder / "out.json"
    import_catalog([source], catalog_path)
    catalog = Catalog.open(str(catalog_path))
    if document["artifact_type"] == "content_sim":
        export_catalog(catalog, out)
    else:
        import_signal([source], catalog, signal_path)
        export_signal(Signal.open(str(signal_path)), catalog, out)
    return json.loads(out.read_bytes())


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_document_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    for document in (
        document_of(kind),
        document_of(kind, segment="young"),
        document_of(
            kind, window={"start": "2026-01-01T00:00:00.500000Z", "end": "2026-01-01T00:00:00.500000Z"}
        ),
    ):
        if kind in ("popularity", "cooc") or "segment" not in document:
            assert there_and_back(tmp_path, document) == document


IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-1e100, 1e100)


@settings(max_examples=60, deadline=None)
@given(
    lists=st.dictionaries(IDS, st.dictionaries(IDS, NUMBERS, min_size=1, max_size=6), min_size=1, max_size=6),
    kind=st.sampled_from(["popularity", "cooc", "implicit"]),
)
def test_any_lists_come_back_without_loss(
    tmp_path_factory: pytest.TempPathFactory, lists: dict[str, dict[str, float]], kind: str
) -> None:
    number = "score" if kind == "implicit" else "count"
    ranked = {
        key: [{"item_id": item, number: score} for item, score in items.items()]
        for key, items in lists.items()
    }
    if kind == "popularity":
        payload = next(iter(ranked.values()))
    else:
        key_name = "user_id" if kind == "implicit" else "item_id"
        payload = [{key_name: key, "items": items} for key, items in ranked.items()]
    folder = tmp_path_factory.mktemp("interchange")
    back = there_and_back(folder, document_of(kind, payload))

    def as_maps(document: object) -> object:
        entries = document[PAYLOADS[kind][0]]
        if kind == "popularity":
            return {one["item_id"]: one["count"] for one in entries}
        return {
            one.get("user_id") or one["item_id"]: {i["item_id"]: i[number] for i in one["items"]}
            for one in entries
        }

    assert as_maps(back) == as_maps(document_of(kind, payload))


def test_segments_become_one_signal_and_come_apart_again(tmp_path: Path) -> None:
    documents = {
        segment: document_of(
            "popularity", [{"item_id": "a", "count": n + 1}], **({"segment": segment} if segment else {})
        )
        for n, segment in enumerate(["", "old", "young"])
    }
    sources = [JsonArtifact(write(tmp_path, one, f"{name}.json")) for name, one in documents.items()]
    import_catalog(sources, tmp_path / "catalog.rsa")
    catalog = Catalog.open(str(tmp_path / "catalog.rsa"))
    import_signal(sources, catalog, tmp_path / "popularity.rsa")
    signal = Signal.open(str(tmp_path / "popularity.rsa"))
    for name, document in documents.items():
        export_signal(signal, catalog, tmp_path / "out.json", segment=name or "default")
        assert json.loads((tmp_path / "out.json").read_bytes()) == document
    with pytest.raises(ArtifactError, match="choose one with --segment: default, old, young"):
        export_signal(signal, catalog, tmp_path / "out.json")


def import_both(path: Path, folder: Path) -> None:
    document = JsonArtifact(path)
    import_catalog([document], folder / "catalog.rsa")
    import_signal([document], Catalog.open(str(folder / "catalog.rsa")), folder / "x.rsa")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("[1]", "Expected `object`"),
        ('{"v":1}', "missing required field"),
        (json.dumps(document_of("cooc"))[:-5], "not JSON"),
        (json.dumps(document_of("cooc")) + "x", "not JSON"),
        (json.dumps(document_of("cooc", v=2)), "v`"),
        (json.dumps(document_of("cooc", artifact_type="other")), "other"),
        (json.dumps(document_of("cooc", color="red")), "unknown field `color`"),
        (json.dumps({**HEADER, "artifact_type": "cooc"}), "in 'neighbors', not in nothing"),
        (json.dumps({**HEADER, "artifact_type": "cooc", "users": []}), "in 'neighbors', not in users"),
        (json.dumps(document_of("cooc", users=[])), "not in neighbors, users"),
        (json.dumps(document_of("cooc", {"item_id": "a"})), "'neighbors' is not an array"),
        (json.dumps(document_of("cooc", [{"item_id": "a"}])), r"neighbors\[0\]: .*`items`"),
        (json.dumps(document_of("cooc", [{"item_id": "", "items": []}])), r"neighbors\[0\]"),
        (json.dumps(document_of("popularity", [{"item_id": "a", "count": 2**53 + 1}])), "beyond 2\\^53"),
        (
            json.dumps(document_of("popularity", [{"item_id": "a", "count": 10**40}])),
            "not JSON: .*integer overflow",
        ),
        (json.dumps(document_of("popularity", [{"item_id": "a", "count": "3"}])), r"items\[0\]"),
        (json.dumps(document_of("popularity", [{"item_id": "a", "count": float("inf")}])), "not JSON"),
        (
            json.dumps(
                document_of("popularity", [{"item_id": "a", "count": 1}, {"item_id": "a", "count": 2}])
            ),
            "more than once",
        ),
        (json.dumps(document_of("cooc", [{"item_id": "a", "items": []}] * 2)), "'a' has two lists"),
        (json.dumps(document_of("cooc", window={"start": "2026-01-01", "end": "2026-01-01"})), "window"),
        ('{"v":1,"v":1}', "'v' comes twice"),
        ("[" * 100_000, "nested too deep"),
        ('{"neighbors":' + "[" * 100_000, "nested too deep"),
    ],
    ids=range(24),
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=complaint) as told:
        import_both(path, tmp_path)
    assert "wrong.json" in str(told.value)


def test_items_that_the_catalog_lacks_are_not_lost_silently(tmp_path: Path) -> None:
    small = JsonArtifact(
        write(tmp_path, document_of("popularity", [{"item_id": "a", "count": 1}]), "small.json")
    )
    import_catalog([small], tmp_path / "catalog.rsa")
    catalog = Catalog.open(str(tmp_path / "catalog.rsa"))
    source = JsonArtifact(write(tmp_path, document_of("popularity")))
    with pytest.raises(ArtifactError, match="has no item 'b'"):
        import_signal([source], catalog, tmp_path / "popularity.rsa")
    assert import_signal([source], catalog, tmp_path / "popularity.rsa", skip_unknown=True).unknown_items == 1


def test_documents_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    first = JsonArtifact(write(tmp_path, document_of("popularity"), "one.json"))
    again = JsonArtifact(write(tmp_path, document_of("popularity"), "two.json"))
    cooc = JsonArtifact(write(tmp_path, document_of("cooc"), "three.json"))
    import_catalog([first, cooc], tmp_path / "catalog.rsa")
    catalog = Catalog.open(str(tmp_path / "catalog.rsa"))
    for documents, complaint in (
        ([first, again], "is that of"),
        ([first, cooc], "a cooc, but"),
        ([JsonArtifact(write(tmp_path, document_of("content_sim"), "four.json"))], "belong in a catalog"),
    ):
        with pytest.raises(ArtifactError, match=complaint):
            import_signal(documents, catalog, tmp_path / "x.rsa")
    assert not (tmp_path / "x.rsa").exists()


def test_a_large_document_takes_the_memory_of_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("w") as file:
        file.write(json.dumps({**HEADER, "artifact_type": "cooc"})[:-1] + ', "neighbors": [')
        items = [{"item_id": f"i{n:06d}", "count": n} for n in range(200)]
        for n in range(1000):
            file.write(("," if n else "") + json.dumps({"item_id": f"i{n:06d}", "items": items}))
        file.write("]}")
    sum(1 for _ in JsonArtifact(write(tmp_path, document_of("cooc"))).entries())  # what comes once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in JsonArtifact(path).entries()) == 1000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < path.stat().st_size / 3

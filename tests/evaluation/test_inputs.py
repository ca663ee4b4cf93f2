from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.inputs import open_inputs

OBJECTS = {
    "logs/day=1/a.jsonl": b'{"a": 1}\n',
    "logs/day=2/b.jsonl.gz": b"packed",
    "logs/day=2/_unfinished.jsonl": b"",
    "logs/day=2/readme.txt": b"no log",
    "other/c.jsonl": b"{}\n",
}


class Bucket(BaseHTTPRequestHandler):
    """As much of an S3 bucket, and of a web server, as reading needs; keeps the paths it was asked for."""

    def __init__(self, asked: list[str], *arguments: object) -> None:
        self.asked = asked
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        key = unquote(parts.path).removeprefix("/bucket").lstrip("/")
        if "list-type" in query:
            prefix = query.get("prefix", [""])[0]
            entries = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(body)}</Size>"
                f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
                for key, body in OBJECTS.items()
                if key.startswith(prefix)
            )
            listing = f"<ListBucketResult>{entries}<IsTruncated>false</IsTruncated></ListBucketResult>"
            self.answer(200, listing.encode())
        elif key in OBJECTS:
            self.answer(200, OBJECTS[key])
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bucket, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield url, asked
    server.shutdown()
    server.server_close()


def names(path: str) -> list[str]:
    with open_inputs({"exposures": [path]}) as inputs:
        return [source.name for source in inputs.sources]


def test_object_store_is_read_by_object_folder_and_pattern(bucket: tuple[str, list[str]]) -> None:
    day_1, day_2 = "s3://bucket/logs/day=1/a.jsonl", "s3://bucket/logs/day=2/b.jsonl.gz"
    assert names(day_1) == [day_1]
    assert names("s3://bucket/logs") == [day_1, day_2]
    assert names("s3://bucket/logs/*/a.jsonl") == [day_1]
    assert names("s3://bucket/**/*.jsonl.gz") == [day_2]
    for nothing in ("s3://bucket/nothing", "s3://bucket/logs/*.jsonl"):
        with pytest.raises(EvaluationError, match=f"exposures: no log file at {nothing[:16]}"):
            names(nothing)
    with pytest.raises(EvaluationError, match=r"gone\.jsonl cannot be fetched"):
        names("s3://bucket/gone.jsonl")


def test_web_object_is_read_and_its_secrets_are_shown_nowhere(bucket: tuple[str, list[str]]) -> None:
    url, asked = bucket
    host = url.removeprefix("http://")
    with open_inputs({"outcomes": [f"http://me:pass@{host}/other/c.jsonl?signature=hidden"]}) as inputs:
        assert [source.name for source in inputs.sources] == [f"{url}/other/c.jsonl"]
        assert inputs.sources[0].path.read_bytes() == OBJECTS["other/c.jsonl"]
        copy = inputs.sources[0].path
    assert not copy.exists()
    assert asked == ["/other/c.jsonl?signature=hidden"]
    with pytest.raises(EvaluationError) as caught:
        names(f"http://me:pass@{host}/gone.jsonl?signature=hidden")
    assert "gone.jsonl cannot be fetched" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "pass" not in str(caught.value)


def test_local_paths_folders_and_globs_are_found_once_with_full_digests(tmp_path: Path) -> None:
    for name, content in (
        ("b.jsonl", b"{}\n"),
        ("sub/a.jsonl.gz", b"z"),
        ("_tmp.jsonl", b""),
        ("c.txt", b""),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path), str(tmp_path / "b.jsonl"), str(tmp_path / "*.jsonl"), f"file://{tmp_path}/sub"]
    with open_inputs({"exposures": paths[:2], "outcomes": paths[3:]}) as inputs:
        assert [Path(path).name for path in inputs.paths("exposures")] == ["b.jsonl", "a.jsonl.gz"]
        assert inputs.paths("outcomes") == [str(tmp_path / "sub/a.jsonl.gz")]
        found = inputs.fingerprint()[0]
        assert (found.role, found.name) == ("exposures", str(tmp_path / "b.jsonl"))
        assert (found.bytes, found.sha256) == (3, hashlib.sha256(b"{}\n").hexdigest())
        assert inputs.find_changed() == []
        (tmp_path / "b.jsonl").write_bytes(b"{}\n{}\n")
        assert inputs.find_changed() == [str(tmp_path / "b.jsonl")]


def test_what_is_no_log_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"")
    for path, reason in (
        (tmp_path / "c.txt", "does not end"),
        (tmp_path, "no log file"),
        ("nowhere/*", "no log"),
    ):
        with pytest.raises(EvaluationError, match=f"exposures: .*{reason}"):
            names(str(path))
    with pytest.raises(EvaluationError, match="exposures: give a list"), open_inputs({"exposures": []}):
        pass

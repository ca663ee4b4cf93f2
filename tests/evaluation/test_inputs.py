from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
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

    def do_PUT(self) -> None:
        # What a machine's metadata service says where it gives no credentials.
        self.answer(403, b"denied\nby the network")

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


@pytest.mark.parametrize(
    ("url", "missing", "advice"),
    [
        (
            "s3://bucket/logs",
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            "set AWS_ACCESS_KEY_ID and AWS_S",
        ),
        ("s3://bucket/logs/day=1/a.jsonl", ["AWS_SECRET_ACCESS_KEY"], "set AWS_ACCESS_KEY_ID and AWS_SECRET"),
        ("az://container/logs", [], "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_missing_credentials_are_one_line_that_says_what_to_set(
    bucket: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, url: str, missing: list[str], advice: str
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", bucket[0])
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(EvaluationError) as caught:
        names(url)
    told = str(caught.value)
    assert told.startswith(f"exposures: {url} cannot be fetched: there are no credentials: {advice}")
    assert "\n" not in told
    assert "latest" not in told


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


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file and a folder that may not be read; nothing stops an administrator, so the calls
    that would tell are made to.
    """
    for name in ("open/a.jsonl", "shut/b.jsonl", "c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    shut = {str(tmp_path / "shut"), str(tmp_path / "c.jsonl")}
    opened, listed, may = Path.open, os.scandir, os.access

    def refuse(path: object) -> None:
        if str(path) in shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def open_unless_shut(self: Path, *arguments: Any, **options: Any) -> Any:
        refuse(self)
        return opened(self, *arguments, **options)

    def list_unless_shut(path: Any = ".") -> Any:
        refuse(path)
        return listed(path)

    monkeypatch.setattr(Path, "open", open_unless_shut)
    monkeypatch.setattr(os, "scandir", list_unless_shut)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in shut and may(path, mode))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("c.jsonl", "c.jsonl"),
        ("*.jsonl", "c.jsonl"),
        ("shut", "shut"),
        (".", "shut"),  # a folder below one that may be read: its logs would be left out in silence
        ("shut/*", "shut"),
        ("*/b.jsonl", "shut"),
        ("**/b.jsonl", "shut"),
    ],
)
def test_what_may_not_be_read_is_named_and_never_left_out(closed: Path, path: str, named: str) -> None:
    told = f"exposures: {closed / named} cannot be read: Permission denied"
    with pytest.raises(EvaluationError, match=f"^{re.escape(told)}$"):
        names(str(closed / path))


def test_open_files_beside_a_closed_folder_are_read(closed: Path) -> None:
    assert names(str(closed / "open")) == names(str(closed / "op*/*.jsonl")) == [str(closed / "open/a.jsonl")]


def test_name_with_the_signs_of_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_bytes(b"{}\n")
    assert names(str(tmp_path / "a[1].jsonl")) == [str(tmp_path / "a[1].jsonl")]

from pathlib import Path

import pytest

from recsys.artifacts.errors import ManifestError, RegistryError, RegistryUnreachableError
from recsys.artifacts.registry import open_registry


@pytest.mark.parametrize(
    "uri",
    [
        "../secret",
        "artifacts/../../secret",
        "/etc/passwd",
        "file:///etc/passwd",
        "file:///etc/%70asswd",
        "a//b",
        "./a",
        "",
        "a\\..\\b",
        "http://169.254.169.254/latest",
        "https://example.org/x",
        "memory:///x",
        "s3://bucket/../x",
        "s3://bucket/",
        "\x00",
    ],
)
def test_a_uri_may_not_lead_out(tmp_path: Path, uri: str) -> None:
    for url in (str(tmp_path / "registry"), "s3://bucket/prefix"):
        with pytest.raises(ManifestError):
            open_registry(url).locate(uri)


def test_a_uri_may_not_lead_out_by_a_link(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ManifestError, match="by a link"):
        open_registry(root).locate("link/secret").store.stat("link/secret")
    with pytest.raises(ManifestError, match="by a link"):
        open_registry(root).locate(f"file://{root}/link/secret")


def test_files_below_the_root_and_allowed_folders_may_be_named_in_full(tmp_path: Path) -> None:
    root, other = tmp_path / "registry", tmp_path / "other folder"
    for folder in (root, other):
        folder.mkdir()
        (folder / "x.rsa").write_text("x")
    registry = open_registry(root, file_roots=[other])
    for uri in ("x.rsa", f"{root}/x.rsa", f"file://{root}/x.rsa", f"file://{tmp_path}/other%20folder/x.rsa"):
        location = registry.locate(uri)
        assert location.store.stat(location.key) is not None
    with pytest.raises(ManifestError, match="not below a folder that may be read"):
        open_registry(root).locate(f"file://{other}/x.rsa")


def test_object_uris_keep_bucket_and_key() -> None:
    registry = open_registry("s3://bucket/prefix")
    assert str(registry.locate("s3://bucket/prefix/a/b")) == "s3://bucket/prefix/a/b"
    assert registry.locate("s3://bucket/prefix/a/b").store is registry.store
    assert registry.locate("s3://elsewhere/a/b").key == "a/b"
    assert registry.locate("s3://elsewhere/a/b").store.url == "s3://elsewhere"


def test_a_registry_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RegistryUnreachableError) as told:
        open_registry("s3://bucket/prefix").current("shop", "home")
    assert str(told.value).startswith(
        "s3://bucket/prefix/current/shop/home/manifest.json: there are no credentials: set AWS_ACCESS_KEY_ID"
    )
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3:/bucket/prefix", "write s3:// with two slashes"),
        ("file:/tmp/x", "write file:// with two slashes"),
        ("ftp://x", "a registry is a folder, file:// or one of"),
    ],
)
def test_a_url_that_is_no_registry_is_refused(url: str, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        open_registry(url)

"""A tenant file that cannot be used names itself and its field."""

import pytest

from recsys.ranking.tenant_file import TenantFileError, find_tenant_files, load_tenant_file


def _load(tmp_path, text: str):
    (tmp_path / "catalog").touch()
    path = tmp_path / "demo.toml"
    path.write_text(text)
    return load_tenant_file(path)


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "salt").write_text("0123456789abcdef\n")
    file = _load(
        tmp_path,
        'tenant = "demo"\nsalt_file = "salt"\n[surfaces.home.artifacts]\ncatalog = "catalog"\n',
    )
    assert file.salt == b"0123456789abcdef"
    assert file.surfaces["home"].catalog == tmp_path / "catalog"
    assert file.surfaces["home"].cooc is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('salt = "0123456789abcdef"\n[surfaces.home.artifacts]\ncatalog = "catalog"', "tenant"),
        ('tenant = "a/b"\nsalt = "0123456789abcdef"\n[surfaces.h.artifacts]\ncatalog = "catalog"', "tenant"),
        ('tenant = "d"\nsalt = "short"\n[surfaces.h.artifacts]\ncatalog = "catalog"', "salt"),
        ('tenant = "d"\n[surfaces.h.artifacts]\ncatalog = "catalog"', "salt"),
        ('tenant = "d"\nsalt_file = "none"\n[surfaces.h.artifacts]\ncatalog = "catalog"', "salt_file"),
        ('tenant = "d"\nsalt = "0123456789abcdef"\n[surfaces]', "surfaces"),
        ('tenant = "d"\nsalt = "0123456789abcdef"\n[surfaces.h.artifacts]', r"surfaces\.h.*catalog"),
        (
            'tenant = "d"\nsalt = "0123456789abcdef"\n[surfaces.h.artifacts]\ncatalog = "none"',
            r"surfaces\.h\.artifacts\.catalog",
        ),
        (
            'tenant = "d"\nsalt = "0123456789abcdef"\n[surfaces.h.artifacts]\ncatalog = "catalog"\nx = "y"',
            r"surfaces\.h.*`x`",
        ),
        ("tenant = ", "not a TOML document"),
    ],
)
def test_errors_name_file_and_field(tmp_path, text, field):
    with pytest.raises(TenantFileError, match=rf"demo\.toml: .*{field}"):
        _load(tmp_path, text)


def test_a_data_folder_without_tenants_says_what_to_do(tmp_path):
    with pytest.raises(TenantFileError, match="recsys demo prepare --data-dir"):
        find_tenant_files(tmp_path)

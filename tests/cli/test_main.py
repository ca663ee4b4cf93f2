"""The command line: lazy groups, exit codes, and where output goes."""

import subprocess
import sys
from pathlib import Path

import pytest

from recsys import _native
from recsys.cli import main
from recsys.cli.console import print_error, print_json, print_table
from recsys.contracts.errors import RecsysError


def test_help_imports_no_group_and_nothing_heavy() -> None:
    program = (
        "import sys; from recsys.cli.main import run; code = run(['--help']);"
        "heavy = {'pyarrow', 'numpy', 'granian', 'recsys._native'} & sys.modules.keys();"
        "sys.exit(repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "artifact" in done.stdout


@pytest.mark.parametrize("group", main.GROUPS)
def test_every_group_can_be_imported_and_explains_itself(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([group, "--help"]) == 0
    assert f"recsys {group}" in capsys.readouterr().out


WIDE = [
    ["a" * 64, "b" * 64, "recsys tenant create somebody --data-dir there", "some words that may be wrapped"]
]


def test_a_table_without_a_terminal_is_not_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(["id", "version", "next", "comment"], WIDE)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "aaa" in line]
    assert all(cell in line for cell in WIDE[0])


def test_a_narrow_table_splits_neither_ids_nor_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(["id", "version", "next", "comment"], WIDE)
    written = capsys.readouterr().out
    assert all(cell in written for cell in WIDE[0][:3])
    assert "may be wrapped" not in written
    assert all(f"{word}" in written for word in WIDE[0][3].split())


def test_a_command_that_is_interrupted_at_work_says_that_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.cli.manifest.RegistryOptions.open", interrupted)
    assert main.run(["manifest", "list", "--tenant", "shop", "--surface", "home"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_an_interrupted_command_says_that_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "build_app", interrupt)
    assert main.run(["demo", "prepare"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "prepare", "--nonsense"],
        ["artifact", "neighbors"],
        ["artifact", "neighbors", "a", "--k", "-5"],
        ["artifact", "popular", "--k", "99999999999999999999"],
        ["artifact", "build", "cooc", "i.csv", "--catalog", "c.rsa", "--out", "o.rsa", "--top-n", "-1"],
        [
            "artifact",
            "build",
            "cooc",
            "i.csv",
            "--catalog",
            "c.rsa",
            "--out",
            "o.rsa",
            "--threads",
            "9999999",
        ],
    ],
)
def test_usage_error_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "rror" in captured.err


def test_known_failure_is_one_line_on_stderr_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecsysError("rows.csv line 3:\n  price is 'x'")

    monkeypatch.setattr(main, "build_app", lambda: fail)
    assert main.run([]) == 1
    assert capsys.readouterr().err == "error: rows.csv line 3: price is 'x'\n"


def test_a_folder_that_cannot_be_made_is_one_line_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main.run(["demo", "prepare", "--data-dir", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'file'}")
    assert error.count("\n") == 1


def test_a_build_never_overwrites_what_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "items.csv"
    rows.write_text("item_id\na\n")
    assert main.run(["artifact", "build", "catalog", str(rows), "--out", str(rows)]) == 1
    assert "is an input of the build" in capsys.readouterr().err
    assert rows.read_text() == "item_id\na\n"


def test_command_that_decides_returns_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "build_app", lambda: lambda *_, **__: 3)
    assert main.run([]) == 3


def test_json_is_indented_and_ends_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'


def test_table_shows_markup_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("tag", "items"), [("[bold]milk", 1200)])
    assert "[bold]milk" in (out := capsys.readouterr().out)
    assert "1,200" in out


def test_what_others_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("comment",), [("\x1b[31mred\x07 \x9b2J\r",)])
    print_error("tag '\x1b]0;title\x07' is unknown")
    out, err = capsys.readouterr()
    assert "\\x1b[31mred\\x07 \\x9b2J\\x0d" in out
    assert err == "error: tag '\\x1b]0;title\\x07' is unknown\n"


@pytest.mark.parametrize(
    "command",
    [
        ["logs", "retain", "--days", "999999999999"],
        ["eval", "simulate", "--out", "out", "--seed", "-1"],
        ["eval", "aa", "--exposures", ".", "--outcomes", ".", "--seed", "-1"],
        ["eval", "ope", "--exposures", ".", "--outcomes", ".", "--seed", "-1"],
        ["eval", "offline", "--baseline", ".", "--candidate", ".", "--outcomes", ".", "--seed", "-1"],
        ["eval", "simulate", "--out", "out", "--users", "99999999999"],
        ["eval", "validate", "--exposures", ".", "--window", "999999999d"],
    ],
)
def test_a_number_out_of_all_bounds_is_an_error_of_the_command(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.run(command) in (main.FAILED, main.USAGE)
    said = capsys.readouterr().err
    assert any(word in said for word in (command[-2], command[-1]))
    assert "Traceback" not in said


@pytest.mark.parametrize("content", [b"a=" + b"[" * 5000, b"\xef\xbb\xbfcontrol_variant = 1"])
@pytest.mark.parametrize(
    "command", [["eval", "decide", "--exposures", "e", "--outcomes", "o", "--plan"], ["artifact", "build"]]
)
def test_a_toml_file_that_cannot_be_used_is_named(command, content, tmp_path, capsys):
    path = tmp_path / "given.toml"
    path.write_bytes(content)
    if command[0] == "artifact":
        (tmp_path / "items.csv").write_text("item_id\na\n")
        command = [
            *command,
            "catalog",
            str(tmp_path / "items.csv"),
            "--out",
            str(tmp_path / "c.rsa"),
            "--mapping",
        ]
    assert main.run([*command, str(path)]) == main.FAILED
    told = capsys.readouterr().err
    assert str(path) in told
    assert "Invalid statement" not in told


def test_a_document_may_begin_with_the_mark_of_an_editor(tmp_path, capsys):
    path = tmp_path / "rules.json"
    path.write_bytes(b"\xef\xbb\xbf[]")
    assert main.run(["rules", "verify", str(path)]) == main.OK
    assert capsys.readouterr().out == "ok\n"


@pytest.mark.parametrize(
    "option",
    [
        ["--memory", "lots"],
        ["--max-bad-rows", "nan"],
        ["--map", "item_id"],
        ["--half-life", "soon"],
        ["--event-weight", "click=-1"],
        ["--event-weight", "click=nan"],
    ],
)
def test_an_option_value_that_cannot_be_used_is_a_usage_error(tmp_path, option, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("v,ts,tenant,surface,session_id,item_id\n")
    _native.build_catalog(str(tmp_path / "catalog"), ["a"])
    given = ["--catalog", str(tmp_path / "catalog"), "--out", str(tmp_path / "out")]
    assert main.run(["artifact", "build", "popularity", str(rows), *given, *option]) == main.USAGE
    assert option[1] in capsys.readouterr().err

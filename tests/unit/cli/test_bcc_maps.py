"""`mdeliver bcc-maps` on a configuration of its own: sources, tables, reports, refusals."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.bcc_maps import command
from tests.unit.conftest import etc

__all__ = ["etc"]

Run = Callable[..., Result]


@pytest.fixture
def run(etc: Path, tmp_path: Path) -> Run:
    """Run the command for the list in tmp_path/list and Postfix's tables in etc."""
    settings = tmp_path / "mdeliver.toml"
    settings.write_text(
        f'[bcc_maps]\nsources = ["list:{tmp_path}/list"]\nkey = "{tmp_path}/own/keys"\n'
        f'tags = "{tmp_path}/own/tags"\npostfix = "{etc}"\noutput = "hash:{etc}/sender_bcc"\n'
    )
    (tmp_path / "list").write_text("ann@example.org\nann@example.net ann\nbob@virtual.example\n")

    def run(*options: str) -> Result:
        return CliRunner().invoke(command, ["--settings", str(settings), *options])

    return run


def query(table: Path, key: str, kind: str = "hash") -> str:
    asked = ["/usr/sbin/postmap", "-q", key, f"{kind}:{table}"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def everything(directory: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_tables_keys_and_digests_are_made_with_safe_permissions(
    run: Run, etc: Path, tmp_path: Path
) -> None:
    done = run("--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["added"] == ["ann@example.net", "ann@example.org", "bob@virtual.example"]
    assert said["written"]
    tag = query(etc / "sender_bcc", "ann@example.org")
    assert tag == query(etc / "sender_bcc", "Ann@Example.net")
    assert tag.startswith("ann+sent-")
    assert tag.endswith("@example.org")
    assert query(etc / "sender_bcc-local", "ann@example.net") == "ann@example.org"
    assert query(etc / "sender_bcc-login", "ann@example.net") == "ann,ann@example.org"
    for name in ("sender_bcc", "sender_bcc.db"):
        assert (etc / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "own" / "keys").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "own" / "tags").stat().st_mode & 0o777 == 0o644
    assert tag[9:29] not in done.output


def test_a_second_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    run()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.name != "sender_bcc.lock"}
    done = run()
    assert "unchanged" in done.output
    assert {p: p.stat().st_mtime_ns for p in before if p.exists()} == before


def test_a_table_that_postmap_has_not_finished_is_made_again(run: Run, etc: Path) -> None:
    run()
    (etc / "sender_bcc.db").unlink()
    assert "written" in run().output
    assert query(etc / "sender_bcc", "ann@example.org")


def test_dry_run_and_check_write_nothing(run: Run, tmp_path: Path) -> None:
    before = everything(tmp_path)
    assert "+ ann@example.org" in run("--dry-run").output
    assert run("--check").exit_code == 1
    assert everything(tmp_path) == before


def test_what_comes_and_goes_is_reported(run: Run, tmp_path: Path) -> None:
    run()
    (tmp_path / "list").write_text("ann@example.org\nann@example.net\nnew@example.org\n")
    lines = run().output.splitlines()
    # ann@example.net is a login name's, too: the mailbox changed its address.
    assert "+ new@example.org" in lines
    assert "- bob@virtual.example" in lines


def test_rotation_changes_tags_and_no_senders(run: Run, etc: Path) -> None:
    run()
    before = query(etc / "sender_bcc", "ann@example.org")
    said = json.loads(run("--rotate", "--json").stdout)
    assert (said["added"], said["removed"], said["changed"]) == ([], [], [])
    assert said["written"]
    assert query(etc / "sender_bcc", "ann@example.org") != before


def test_exclusion_and_opting_out(run: Run, etc: Path, tmp_path: Path) -> None:
    run("--exclude", "@virtual.example", "--exclude", "ann@example.net")
    assert query(etc / "sender_bcc", "ann@example.org")
    assert not query(etc / "sender_bcc", "ann@example.net")
    assert not query(etc / "sender_bcc", "bob@virtual.example")
    home = tmp_path / "home"
    (home / ".config" / "mdeliver").mkdir(parents=True)
    users = tmp_path / "passwd"
    users.write_text(f"cat@virtual.example:x:1:1::{home}\n# a comment\ndora:x:::::\n")
    source = f"dovecot:{users}"
    assert "+ cat@virtual.example" in run("--source", source, "--dry-run").output
    (home / ".config" / "mdeliver" / "no-sent-copies").touch()
    said = run("--source", source, "--dry-run").output
    assert "+ cat@virtual.example" not in said
    assert "cat@virtual.example wants no copies" in said
    assert "+ dora@example.org" in said


def test_postfixs_own_tables(run: Run, etc: Path) -> None:
    (etc / "boxes").write_text("carl@virtual.example carl/\n")
    (etc / "virtual").write_text(
        "alias.example anything\ninfo@alias.example carl@virtual.example\n"
        "all@alias.example carl@virtual.example, eve@elsewhere.com\n@alias.example eve@x.com\n"
        "help@alias.example info+ticket@alias.example\n"
    )
    (etc / "logins").write_text("sales@virtual.example carl@virtual.example\n")
    with (etc / "main.cf").open("a") as main:
        main.write(f"virtual_mailbox_maps = texthash:{etc}/boxes\n")
        main.write(f"virtual_alias_maps = texthash:{etc}/virtual\n")
        main.write(f"smtpd_sender_login_maps = texthash:{etc}/logins\n")
    said = json.loads(
        run("--source", "virtual", "--source", "logins", "--dry-run", "--json").stdout
    )
    assert said["added"] == [
        "carl@virtual.example", "help@alias.example", "info@alias.example", "sales@virtual.example",
    ]  # fmt: skip
    assert any("all@alias.example leads to several" in note for note in said["notes"])


@pytest.mark.parametrize("kind", ["texthash", "lmdb", "cdb", "btree"])
def test_other_types(run: Run, etc: Path, kind: str) -> None:
    done = run("--output", f"{kind}:{etc}/other")
    if "has no" in done.output:
        from tests.installation import lacking

        lacking(done.output)
    assert done.exit_code == 0, done.output
    assert query(etc / "other", "ann@example.org", kind).startswith("ann+sent-")


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_patterns_are_for_whole_domains_and_have_no_tags(run: Run, etc: Path, kind: str) -> None:
    done = run("--output", f"{kind}:{etc}/p", "--exclude", "bob@example.org", "--exclude", "eve")
    assert done.exit_code == 0, done.output
    table = etc / "p"
    assert query(table, "ann@example.org", kind) == "ann@example.org"
    assert query(table, "a.n-n@example.net", kind) == "a.n-n@example.net"
    assert query(table, "ann+x@example.org", kind) == "ann@example.org"
    for nobody in ("bob@example.org", "bob+x@example.org", "eve@example.net", "ann@xexample.org"):
        assert query(table, nobody, kind) == "", nobody
    assert run("--output", f"{kind}:{etc}/p", "--exclude", "bob@example.org").exit_code == 0


def test_without_tags(run: Run, etc: Path, tmp_path: Path) -> None:
    done = run("--no-tags")
    assert query(etc / "sender_bcc", "ann@example.org") == "ann@example.org"
    assert f"postconf -e 'sender_bcc_maps=hash:{etc}/sender_bcc'" in done.output
    assert not (tmp_path / "own").exists()


def test_names_with_a_delimiter_get_no_tag(run: Run, etc: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a+b@example.org\n")
    assert "without a tag" in run().output
    assert query(etc / "sender_bcc", "a+b@example.org") == "a+b@example.org"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann\n", 'list:1: "ann" has no @'),
        (
            "ann@example.org\nx@foreign.com\n",
            "list:2: x@foreign.com: foreign.com is not one of our",
        ),
        ("a@example.org ann\nA@example.org bob\n", "has two owners"),
        ("a b c\n", "list:1"),
        ("a@example.org\x00\n", "list:1"),
    ],
)
def test_bad_input_is_named_and_nothing_is_half_written(
    run: Run, tmp_path: Path, text: str, said: str
) -> None:
    run()
    before = everything(tmp_path)
    (tmp_path / "list").write_text(text)
    before[str(tmp_path / "list")] = text.encode()
    done = run()
    assert done.exit_code == 78
    assert said in done.stderr
    assert everything(tmp_path) == before


def test_what_cannot_be_read_is_named(run: Run, etc: Path, tmp_path: Path) -> None:
    assert f"cannot read {tmp_path}/none" in run("--source", f"list:{tmp_path}/none").stderr
    with (etc / "main.cf").open("a") as main:
        main.write(f"virtual_alias_maps = hash:{etc}/none\n")
    done = run("--source", "virtual")
    assert (done.exit_code, "none.db" in done.stderr) == (78, True), done.stderr
    with (etc / "main.cf").open("a") as main:
        main.write("virtual_alias_maps = ldap:/etc/x\n")
    assert "name these users in a plain list" in run("--source", "virtual").stderr


def test_a_file_of_somebody_elses_is_left_alone(run: Run, etc: Path) -> None:
    (etc / "sender_bcc").write_text("ann@example.org ann@example.org\n")
    done = run()
    assert (done.exit_code, "was not made by mdeliver" in done.stderr) == (78, True)
    assert (etc / "sender_bcc").read_text() == "ann@example.org ann@example.org\n"


def test_a_key_that_others_can_read_is_refused_until_it_is_forgotten(
    run: Run, tmp_path: Path
) -> None:
    run()
    keys = tmp_path / "own" / "keys"
    os.chmod(keys, 0o644)
    done = run()
    assert (done.exit_code, "others can read" in done.stderr) == (78, True)
    assert run("--rotate", "--forget").exit_code == 0
    assert keys.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--source", "nis"], 78, "nis is no source"),
        (["--output", "mysql:/x"], 78, "output is TYPE:FILE"),
        (["--domain", "foreign.com"], 78, "foreign.com is not one of our domains"),
        (["--forget"], 2, "--forget goes with --rotate"),
        (["--undo"], 78, "there is nothing to undo"),
        (["--serve", "tcp:1"], 78, "is no socket"),
        (["--serve", f"inet:localhost:{'9' * 5000}"], 78, "is no socket"),
        (["--serve", "inet:127.0.0.1:1"], 78, "use unix:PATH, or --no-tags"),
    ],
)
def test_options_that_make_no_sense(run: Run, options: list[str], status: int, said: str) -> None:
    done = run(*options)
    assert (done.exit_code, said in done.stderr) == (status, True), done.stderr


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    settings = tmp_path / "m.toml"
    for text, said in (
        ("[bcc_maps]\nsauces = []\n", "there is no key bcc_maps.sauces"),
        ('[bcc_maps]\nvalid_days = "x"\n', "bcc_maps.valid_days is a number"),
        ("[bcc_maps]\nvalid_days = 0\n", "valid_days is 1 or more"),
        ("bcc_maps = 1\n", "bcc_maps is a table"),
        ("x", str(settings)),
    ):
        settings.write_text(text)
        done = CliRunner().invoke(command, ["--settings", str(settings), "--dry-run"])
        assert (done.exit_code, said in done.stderr) == (78, True), done.stderr


def test_what_postfix_needs_is_shown_and_not_done(run: Run, etc: Path) -> None:
    before = (etc / "master.cf").read_text()
    said = run().output
    assert "postconf -P 'submission/inet/cleanup_service_name=cleanup-sent'" in said
    assert "smtp/inet" not in said
    assert (etc / "master.cf").read_text() == before


def test_where_nobody_must_authenticate_nothing_is_written(
    run: Run, etc: Path, tmp_path: Path
) -> None:
    master = etc / "master.cf"
    master.write_text(master.read_text().replace("smtpd_sasl_auth_enable=yes", "x=y"))
    before = everything(tmp_path)
    done = run()
    assert (done.exit_code, "run mdeliver bcc-maps --no-tags" in done.stderr) == (78, True)
    after = {path: text for path, text in everything(tmp_path).items() if ".lock" not in path}
    assert after == before
    assert run("--no-tags").exit_code == 0


@pytest.mark.parametrize(
    ("sent", "believed"),
    [('folder = "Gesendet"', False), ("believe_tags = false", False), ("believe_tags=true", True)],
)
def test_whether_tags_are_believed_is_said_as_it_is(
    run: Run, tmp_path: Path, sent: str, believed: bool
) -> None:
    settings = tmp_path / "mdeliver.toml"
    settings.write_text(f"{settings.read_text()}[sent]\n{sent}\n")
    assert json.loads(run("--json").stdout)["tags_believed"] is believed
    assert ("deliveries need in" in run().output) is not believed


def test_what_a_killed_run_has_left_is_removed(run: Run, etc: Path, tmp_path: Path) -> None:
    """There are keys and tags in it, given up ones too."""
    (tmp_path / "own").mkdir()
    left = [tmp_path / "own" / ".keys.0123456789ab", etc / ".sender_bcc.0123456789ab.db"]
    others = [etc / ".sender_bcc.old", etc / ".sender_bccX.0123456789ab"]
    for path in (*left, *others):
        path.touch()
    run()
    assert [path.exists() for path in left] == [False] * 2
    assert [path.exists() for path in others] == [True] * 2

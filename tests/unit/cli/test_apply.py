"""`mdeliver apply`: what it shows, does, leaves alone, and takes back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.apply import command
from mdeliver.history import records

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
if subject contains "list":
    file to imap/Lists as flagged
elif subject contains "spam":
    discard
elif subject contains "both":
    file to imap/A, imap/B
elif subject contains "archive":
    file to mbox "~/archive"
elif subject contains "kept":
    keep as seen
elif subject contains "forward":
    forward to "b@example.net"
elif subject contains "reject":
    reject "no"
elif subject contains "also":
    also file to imap/Also
elif date is 2001-09-09:
    file to imap/Old
"""


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.maildir = path / "Maildir"
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        rules = path / ".config" / "mdeliver" / "rules"
        rules.parent.mkdir(parents=True)
        rules.write_text(RULES)
        rules.chmod(0o600)

    def put(self, subject: str, name: str = "new/1.M1.host", **headers: str) -> Path:
        message = self.maildir / name
        lines = "".join(f"{key}: {value}\n" for key, value in headers.items())
        message.write_text(f"Return-Path: <a@example.net>\n{lines}Subject: {subject}\n\nhello\n")
        os.utime(message, (1_600_000_000, 1_600_000_000))
        return message

    def run(self, *arguments: str) -> Result:
        clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
        environ = clean | {"HOME": str(self.path), "USER": "ann"}
        return CliRunner().invoke(command, arguments, env=environ)

    def names(self) -> list[str]:
        """Every message of the Maildir, by its path in it."""
        found = [path for path in self.maildir.rglob("*") if path.parent.name in ("new", "cur")]
        return sorted(str(path.relative_to(self.maildir)) for path in found)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_nothing_is_done_without_yes(home: Home) -> None:
    home.put("list")
    result = home.run("inbox")
    assert result.exit_code == 0
    assert "imap/Lists as flagged" in result.stdout
    assert "1 message: 1 moved" in result.stdout
    assert "nothing is done yet" in result.stdout
    assert home.names() == ["new/1.M1.host"]
    assert not (home.path / ".local").exists()


@pytest.mark.parametrize(
    ("subject", "name", "after"),
    [
        ("list", "new/1.M1.host", [".Lists/cur/1.M1.host:2,F"]),
        ("list", "cur/1.M1.host,S=9:2,RS", [".Lists/cur/1.M1.host,S=9:2,FRS"]),
        ("list", "cur/1.M1.host:2,", [".Lists/cur/1.M1.host:2,F"]),
        ("spam", "new/1.M1.host", [".Trash/new/1.M1.host"]),
        ("spam", "cur/1.M1.host:2,S", [".Trash/cur/1.M1.host:2,S"]),
        ("kept", "new/1.M1.host", ["cur/1.M1.host:2,S"]),
        ("kept", "cur/1.M1.host:2,SF", ["cur/1.M1.host:2,SF"]),
        ("forward", "new/1.M1.host", ["new/1.M1.host"]),
        ("reject", "new/1.M1.host", ["new/1.M1.host"]),
        ("nothing", "cur/1.M1.host:2,F", ["cur/1.M1.host:2,F"]),
        ("archive", "cur/1.M1.host:2,F", [".Trash/cur/1.M1.host:2,F"]),
    ],
)
def test_where_a_message_goes_and_comes_back(
    home: Home, subject: str, name: str, after: list[str]
) -> None:
    octets = home.put(subject, name).read_bytes()
    assert home.run("imap", "--yes").exit_code == 0
    assert home.names() == after
    assert (home.maildir / after[0]).read_bytes() == octets
    assert (home.maildir / after[0]).stat().st_mtime == 1_600_000_000
    # The inbox is a mbox too, which POP3 clients have fetched from long ago.
    assert not (home.path / "mbox").exists()
    if after != [name]:
        assert home.run("--undo").exit_code == 0
    assert home.names() == [name]
    assert sorted(path.name for path in home.maildir.iterdir() if path.is_dir()) == [
        "cur", "new", "tmp",
    ]  # fmt: skip


def test_a_second_place_gets_a_copy_once(home: Home) -> None:
    octets = home.put("both", "cur/1.M1.host:2,S").read_bytes()
    home.put("also", "cur/2.M1.host:2,S")
    for _ in range(2):
        assert home.run("inbox", "--yes").exit_code == 0
        (first,) = (home.maildir / ".B" / "cur").iterdir()
        (second,) = (home.maildir / ".Also" / "cur").iterdir()
        assert first.read_bytes() == octets
        assert first.stat().st_mtime == second.stat().st_mtime == 1_600_000_000
        assert [n for n in home.names() if ".B" not in n and ".Also" not in n] == [
            ".A/cur/1.M1.host:2,S",
            "cur/2.M1.host:2,S",
        ]


def test_the_message_goes_where_the_rules_end_and_its_copy_has_its_flags(home: Home) -> None:
    home.put("twice", "cur/1.M1.host:2,RS")
    rules = home.path / ".config" / "mdeliver" / "rules"
    rules.write_text(RULES + "also file to imap/Backup as flagged\nfile to imap/Main\n")
    assert home.run("inbox", "--yes").exit_code == 0
    backup, main = home.names()
    assert main == ".Main/cur/1.M1.host:2,RS"
    assert backup.startswith(".Backup/cur/")
    assert backup.endswith(":2,FRS")
    assert home.run("--undo").exit_code == 0
    assert home.names() == ["cur/1.M1.host:2,RS"]


def test_another_mbox_gets_a_copy_which_undo_cuts_off(home: Home) -> None:
    home.put("archive")
    home.put("archive 2", "new/2.M1.host")
    before = b"From x@y Tue Nov 14 22:13:20 2023\n\nbefore\n\n"
    (home.path / "archive").write_bytes(before)
    assert home.run("inbox", "--yes").exit_code == 0
    after = (home.path / "archive").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\nFrom a@example.net Sun Sep 13 ") == 2
    assert home.run("--undo").exit_code == 0
    assert (home.path / "archive").read_bytes() == before
    assert home.names() == ["new/1.M1.host", "new/2.M1.host"]


def test_a_date_is_that_of_the_file(home: Home) -> None:
    message = home.put("nothing", Date="Mon, 01 Jan 2024 00:00:00 +0000")
    os.utime(message, (1_000_000_000, 1_000_000_000))
    assert home.run("inbox", "--yes").exit_code == 0
    assert home.names() == [".Old/new/1.M1.host"]


def test_a_taken_name_is_not_written_over(home: Home) -> None:
    (home.maildir / ".Lists" / "cur").mkdir(parents=True)
    (home.maildir / ".Lists" / "cur" / "1.M1.host:2,F").write_bytes(b"another message\n")
    home.put("list")
    assert home.run("inbox", "--yes").exit_code == 0
    found = [path.read_bytes() for path in (home.maildir / ".Lists" / "cur").iterdir()]
    assert len(found) == 2
    assert home.run("--undo").exit_code == 0
    assert home.names() == [".Lists/cur/1.M1.host:2,F", "new/1.M1.host"]


def test_keywords_are_called_by_the_letters_of_the_other_folder(home: Home) -> None:
    (home.maildir / "dovecot-keywords").write_text("0 $Label1\n1 Junk\n2 Mine\n")
    (home.maildir / ".Lists" / "cur").mkdir(parents=True)
    (home.maildir / ".Lists" / "dovecot-keywords").write_text("0 Mine\n4 $Label1\n")
    home.put("list", "cur/1.M1.host:2,Sabc")
    assert home.run("inbox", "--yes").exit_code == 0
    # $Label1 is e there, Mine is a; nothing is called Junk.
    assert home.names() == [".Lists/cur/1.M1.host:2,FSae"]
    assert home.run("--undo").exit_code == 0
    assert home.names() == ["cur/1.M1.host:2,Sabc"]


def test_the_quota_of_two_mailboxes(home: Home) -> None:
    rules = home.path / ".config" / "mdeliver" / "rules"
    rules.write_text(RULES + 'if subject contains "over":\n    file to maildir "~/Other"\n')
    for part in ("new", "cur", "tmp"):
        (home.path / "Other" / part).mkdir(parents=True)
    size = len(home.put("over").read_bytes())
    for name in ("Maildir", "Other"):
        (home.path / name / "maildirsize").write_text("100000S\n500 5\n")
    assert home.run("inbox", "--yes").exit_code == 0
    assert (home.maildir / "maildirsize").read_text() == f"100000S\n500 5\n-{size} -1\n"
    assert (home.path / "Other" / "maildirsize").read_text() == f"100000S\n500 5\n{size} 1\n"


# --- undo ------------------------------------------------------------------------------------


def test_undo_refuses_what_a_client_has_marked_and_can_leave_it(home: Home) -> None:
    home.put("list")
    home.put("list", "new/2.M1.host")
    home.run("inbox", "--yes")
    moved = home.maildir / ".Lists" / "cur" / "1.M1.host:2,F"
    moved.rename(moved.with_name("1.M1.host:2,FS"))
    refused = home.run("--undo")
    assert refused.exit_code == 1
    assert "it has other flags now" in refused.stderr
    assert "nothing was taken back" in refused.stderr
    assert home.names() == [".Lists/cur/1.M1.host:2,FS", ".Lists/cur/2.M1.host:2,F"]
    assert home.run("--undo", "--partial").exit_code == 1
    assert home.names() == [".Lists/cur/1.M1.host:2,FS", "new/2.M1.host"]


def test_a_message_that_a_client_merely_saw_comes_back(home: Home) -> None:
    home.put("spam")
    home.run("inbox", "--yes")
    # Any client that opens the folder does this; no flag is set.
    (home.maildir / ".Trash" / "new" / "1.M1.host").rename(
        home.maildir / ".Trash" / "cur" / "1.M1.host:2,"
    )
    assert home.run("--undo").exit_code == 0
    assert home.names() == ["new/1.M1.host"]


def test_undo_refuses_what_is_gone(home: Home) -> None:
    home.put("spam")
    home.run("inbox", "--yes")
    (home.maildir / ".Trash" / "new" / "1.M1.host").unlink()
    refused = home.run("--undo")
    assert (refused.exit_code, "it was moved or removed" in refused.stderr) == (1, True)


def test_undo_refuses_an_mbox_that_has_grown(home: Home) -> None:
    home.put("archive")
    home.run("inbox", "--yes")
    with (home.path / "archive").open("ab") as file:
        file.write(b"From x@y Tue Nov 14 22:13:20 2023\n\nlater\n\n")
    refused = home.run("--undo")
    assert (refused.exit_code, "other mail has come after" in refused.stderr) == (1, True)
    assert home.names() == [".Trash/new/1.M1.host"]


def test_undo_by_its_id_and_the_list(home: Home) -> None:
    home.put("list")
    first = json.loads(home.run("inbox", "--yes", "--json").stdout.splitlines()[-1])["id"]
    home.put("spam", "new/2.M1.host")
    second = json.loads(home.run("inbox", "--yes", "--json").stdout.splitlines()[-1])["id"]
    listed = [json.loads(li) for li in home.run("--undo", "--list", "--json").stdout.splitlines()]
    assert [(one["id"], one["state"]) for one in listed] == [
        (first, "finished"),
        (second, "finished"),
    ]
    assert home.run("--undo", first).exit_code == 0
    assert home.names() == [".Trash/new/2.M1.host", "new/1.M1.host"]
    assert f"{first} is undone already" in home.run("--undo", first).stderr
    assert home.run("--undo").exit_code == 0
    assert home.names() == ["new/1.M1.host", "new/2.M1.host"]
    assert "nothing to undo" in home.run("--undo").stderr
    assert "no record nix" in home.run("--undo", "nix").stderr


def test_what_a_client_has_moved_meanwhile_is_told_and_left(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("list")
    home.put("list", "new/2.M1.host")
    begin_steps = records.Applied.begin_steps

    def client_is_faster(applied: records.Applied, steps: list[records.Step]) -> None:
        begin_steps(applied, steps)
        (home.maildir / "new" / "1.M1.host").rename(home.maildir / "cur" / "1.M1.host:2,S")

    monkeypatch.setattr(records.Applied, "begin_steps", client_is_faster)
    result = home.run("inbox", "--yes")
    assert result.exit_code == 1
    assert "it has other flags now" in result.stderr
    assert home.names() == [".Lists/cur/2.M1.host:2,F", "cur/1.M1.host:2,S"]
    monkeypatch.undo()
    assert home.run("--undo").exit_code == 0
    assert home.names() == ["cur/1.M1.host:2,S", "new/2.M1.host"]


def test_what_was_moved_before_a_kill_and_marked_since_is_not_forgotten(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("list")
    write = records.Applied.write

    def killed(applied: records.Applied, *said: dict[str, object], durably: bool = True) -> None:
        if "finished" in said[0]:
            raise OSError(5, "killed")
        write(applied, *said, durably=durably)

    with monkeypatch.context() as patch:
        patch.setattr(records.Applied, "write", killed)
        assert home.run("inbox", "--yes").exit_code == 75
    moved = home.maildir / ".Lists" / "cur" / "1.M1.host:2,F"
    moved.rename(moved.with_name("1.M1.host:2,FS"))
    assert home.run("inbox", "--yes").exit_code == 0
    refused = home.run("--undo")
    assert (refused.exit_code, "it has other flags now" in refused.stderr) == (1, True)


def test_one_at_a_time(home: Home) -> None:
    home.put("list")
    with records.alone(str(home.path / ".local" / "state" / "mdeliver")):
        result = home.run("inbox", "--yes")
    assert result.exit_code == 75
    assert "another mdeliver apply" in result.stderr
    assert home.names() == ["new/1.M1.host"]


# --- which folder ----------------------------------------------------------------------------


def test_a_folder_by_name_by_path_and_with_odd_letters(home: Home) -> None:
    for folder in (".Lists", ".Big and &AOQ-dd &- {x}"):
        for part in ("new", "cur", "tmp"):
            (home.maildir / folder / part).mkdir(parents=True)
    for name, path in (
        ("imap/Lists", ".Lists"),
        ("imap/Big and ädd & {x}", ".Big and &AOQ-dd &- {x}"),
        (str(home.maildir / ".Lists"), ".Lists"),
        ("~/Maildir/.Lists", ".Lists"),
        ("inbox", ""),
    ):
        message = home.put("spam", f"{path or '.'}/new/1.M1.host")
        assert home.run(name, "--yes").exit_code == 0, name
        assert home.names() == [".Trash/new/1.M1.host"], name
        assert home.run("--undo").exit_code == 0
        message.unlink()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nix/Lists", "the rules have no mailbox nix"),
        ("pop3", "pop3 is an mbox"),
        ("imap/Nowhere", "there is no Maildir"),
        ("/nowhere", "/nowhere is no Maildir"),
        ("imap/../..", "is no Maildir"),
    ],
)
def test_what_is_no_folder(home: Home, name: str, said: str) -> None:
    result = home.run(name)
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["inbox", "--partial"], ["inbox", "--list"], ["--undo", "--yes"], ["--nope", "inbox"]],
)
def test_wrong_usage(home: Home, arguments: list[str]) -> None:
    assert home.run(*arguments).exit_code == 2


def test_rules_with_an_error_do_nothing(home: Home) -> None:
    home.put("list")
    (home.path / ".config" / "mdeliver" / "rules").write_text("nonsense\n")
    result = home.run("inbox", "--yes")
    assert result.exit_code == 1
    assert "rules:1:" in result.stderr
    assert home.names() == ["new/1.M1.host"]


def test_json(home: Home) -> None:
    home.put("both")
    message, total = [json.loads(line) for line in home.run("inbox", "--json").stdout.splitlines()]
    rule = f"{home.path}/.config/mdeliver/rules:9"
    assert message == {
        "message": f"{home.maildir}/new/1.M1.host",
        "deed": "moved",
        "to": f"{home.maildir}/.A",
        "flags": [],
        "copies": [f"{home.maildir}/.B"],
        "rules": [rule, rule],
    }
    assert total == {
        "folder": str(home.maildir), "messages": 1, "moved": 1, "discarded": 0, "marked": 0,
        "copied": 1, "left": 0, "id": None, "troubles": [],
    }  # fmt: skip

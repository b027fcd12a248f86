"""A folder of MH is no mailbox of ours: what stands in its place can be used as it stands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.folders import NOBODY, Whose
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.replay import stores
from tests.unit.procmail.test_converter import assert_sound

RC = """\
MAILDIR=$HOME/Mail
:0 {flags}
* ^Subject:.*TeX
{folders}
"""


def parts(flags: str, folders: str, whose: Whose = NOBODY) -> tuple[str, str, str]:
    """The rule with Maildirs, the commands, the rule with rcvstore."""
    text = RC.format(flags=flags, folders=folders)
    made = convert_procmailrc(parse_procmailrc(text, "rc"), lambda _path: None, whose=whose)
    assert [entry.level for entry in made.entries if "TeX" in entry.what or entry.todo] == ["lost"]
    lines = made.text.split("\n")
    uncommented = [line.removeprefix("#   ") for line in lines]
    rule = lines.index("# With a Maildir in its place:") + 1
    pipe = lines.index("# For MH tools, by nmh, once install-mh has been run:") + 1
    title = "# and, once, in a shell, for the mail that is there:"
    shell = lines.index(title) + 1 if title in lines else pipe
    return (
        "\n".join(uncommented[rule : shell - 1]) + "\n",
        "\n".join(uncommented[shell : pipe - 1]),
        "\n".join(uncommented[pipe:]).rstrip("\n") + "\n",
    )


@pytest.mark.parametrize("flags", ["", "c"])
def test_both_rules_are_sound(flags: str) -> None:
    also = "also " if flags else ""
    maildirs, _shell, pipes = parts(flags, "tex/. 'more tex'/.")
    assert maildirs == (
        'if subject contains "TeX":\n'
        f'    {also}file to maildir "~/Mail/tex", maildir "~/Mail/more tex"\n'
    )
    assert pipes == (
        'if subject contains "TeX":\n'
        '    also pipe to "/usr/lib/mh/rcvstore" "+{home}/Mail/tex"\n'
        f'    {also}pipe to "/usr/lib/mh/rcvstore" "+{{home}}/Mail/more tex"\n'
    )
    assert_sound(maildirs)
    assert_sound(pipes)


def test_the_commands_make_maildirs(tmp_path: Path) -> None:
    folder = tmp_path / "Mail" / "more tex"
    folder.mkdir(parents=True)
    (folder / "1").write_bytes(b"From a@b  Mon Nov 23 10:00:00 2026\nSubject: one\n\nFrom x\n")
    (folder / "12").write_bytes(b"Subject: two\n\n")
    (folder / ".mh_sequences").write_text("unseen: 12\n")
    (folder / "2nd").write_text("no message\n")
    shell = parts("", "'more tex'/. empty/.")[1]
    (tmp_path / "Mail" / "empty").mkdir()
    subprocess.run(["/bin/sh", "-ec", shell], env={"HOME": str(tmp_path)}, check=True)
    found = stores.find(str(folder), folders=False)
    read = [b"".join(stores.Reader().read(one).letter.chunks()) for one in found]
    assert sorted(read) == [b"Subject: one\n\nFrom x\n", b"Subject: two\n\n"]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        ".mh_sequences",
        "2nd",
    ]
    assert list(stores.find(str(tmp_path / "Mail" / "empty"), folders=False)) == []


def test_a_folder_for_each_month_has_no_commands() -> None:
    maildirs, shell, pipes = parts("", "`date +%Y-%m`/.")
    assert 'maildir "~/Mail/{year}-{month}"' in maildirs
    assert '"+{home}/Mail/{year}-{month}"' in pipes
    assert shell == ""


def test_a_home_that_is_written_out() -> None:
    maildirs, shell, _pipes = parts("", "/home/ann/tex/.", Whose("ann", "/home/ann"))
    assert 'maildir "~/tex"' in maildirs
    assert "for d in ~/tex; do" in shell

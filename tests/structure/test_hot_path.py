"""What one delivery imports: a process per message pays for every module, every time.

A real delivery is made by the launcher's own command line, in a process that says what it has
imported by its end. Bare `python3 -I -S -c pass` has the first word: what it brings is free.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from launcher import bundle
from mdeliver.__main__ import AGENT_DONE
from tests.structure.source import NAMES, PACKAGE, ROOT

# C modules that are built in or nearly free: 0.1 ms or less each. `os` is not one of them.
CHEAP = frozenset(
    """__future__ _blake2 _bisect _signal _socket _stat _struct binascii errno fcntl grp itertools
    math posix pwd select sys time unicodedata""".split()
)

# What no plain delivery may import, of our own: it explains, prints or complains.
NOT_OURS = (
    "mdeliver.cli",
    "mdeliver.explain",
    "mdeliver.replay",
    "mdeliver.language.printer",
    "mdeliver.language.lints",
    "mdeliver.language.findings",
)

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
if subject contains "no such word" or from domain is "example.com":
    file to imap/Other
if list-id matches "(*).lists.example.org":
    file to imap/Lists/{1}
"""

MESSAGE = (
    b"From a@example.org  Mon Nov 23 10:00:00 2026\nFrom: a@example.org\nSubject: hi\n\nhello\n"
)

# bootstrap.py's last words are posix._exit; here they first say what is there.
REPORTING = """\
import posix, sys
leave = posix._exit
def report(status):
    posix.write(2, " ".join(sys.modules).encode())
    leave(status)
posix._exit = report
"""

# Rules that have just been written are not kept.
AN_HOUR_LATER = """\
import time
clock = time.time
time.time = lambda: clock() + 3600
"""


def _imported(code: str, arguments: list[str], home: Path) -> set[str]:
    done = subprocess.run(
        [Path(sys.executable).resolve(), "-I", "-S", "-c", code, *arguments],
        input=MESSAGE,
        capture_output=True,
        timeout=120,
        check=False,
        env={"HOME": str(home), "USER": home.owner(), "SENDER": "a@example.org"},
    )
    assert done.returncode == AGENT_DONE, done
    return set(done.stderr.decode().split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with rules in it."""
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text(RULES)
    rules.chmod(0o600)
    return tmp_path


def _imported_by_a_delivery(home: Path, before: str = "", options: Sequence[str] = ()) -> set[str]:
    """What a real delivery imports; BEFORE is run in its process before it begins."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{before}"
    agent = start + "from mdeliver.__main__ import fused\nfused(sys.argv[1:])\n"
    imported = _imported(REPORTING + agent, ["deliver", *options], home)
    assert (home / "mbox").exists()
    bare = _imported(REPORTING + f"posix._exit({AGENT_DONE})", [], home)
    return imported - bare


def test_a_delivery_imports_only_what_it_needs(home: Path) -> None:
    imported = _imported_by_a_delivery(home)
    assert sorted(imported - NAMES - CHEAP) == []
    assert sorted(name for name in imported if name.startswith(NOT_OURS)) == []


SPF_DKIM_AND_THE_DNS = ("spf", "dkim", "dns", "publicsuffixlist", "mdeliver.authentication")


def test_who_asks_nothing_about_the_sender_pays_nothing_for_it(home: Path) -> None:
    settings = home / "mdeliver.toml"
    settings.write_text('[authentication]\ncompute = "asked"\nresolver = ["127.0.0.1:1"]\n')
    imported = _imported_by_a_delivery(home, options=["--settings", str(settings)])
    assert sorted(name for name in imported if name.startswith(SPF_DKIM_AND_THE_DNS)) == []
    (home / "mbox").unlink()
    rules = home / ".config" / "mdeliver" / "rules"
    rules.write_text(RULES + "if spf fail:\n    file to imap/Junk\n")
    imported = _imported_by_a_delivery(home)
    asked = {name for name in imported if name.startswith(SPF_DKIM_AND_THE_DNS)}
    # Without `compute` what our own servers wrote is all that is looked at.
    assert asked == {
        "mdeliver.authentication",
        "mdeliver.authentication.results",
        "mdeliver.authentication.wording",
    }


def test_a_delivery_by_kept_rules_does_not_import_the_compiler(home: Path) -> None:
    _imported_by_a_delivery(home, before=AN_HOUR_LATER)
    assert (home / ".cache" / "mdeliver" / "rules").exists()
    (home / "mbox").unlink()
    imported = _imported_by_a_delivery(home)
    language = {name for name in imported if name.startswith("mdeliver.language.")}
    assert language == {"mdeliver.language.syntax"}
    # What the bundle lacked would be looked for, module by module.
    assert sorted(imported & NAMES - {module.name for module in bundle.modules(PACKAGE)}) == []

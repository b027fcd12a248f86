"""Kept rules: believed while nothing changed, and in no other case."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mdeliver
from mdeliver import limits, rulescache
from mdeliver.decision import load_rules
from mdeliver.envelope import Envelope
from mdeliver.language.syntax import Program
from mdeliver.rulescache import RulesCache
from tests.settledfiles import let_time_pass

RULES = """\
include "more"
if subject matches "\\\\*(*)" or from is lines of "values":
    keep as seen
reply with file "away"
"""
MORE = 'me = "a@example.org"\n'


class Home:
    """Somebody's home with rules in it, on a host whose clock shows an hour later."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.rules = directory / ".config" / "mdeliver" / "rules"
        self.more = self.rules.with_name("more")
        self.values = self.rules.with_name("values")
        self.away = self.rules.with_name("away")
        self.kept = directory / ".cache" / "mdeliver" / "rules"
        self.environ: dict[str, str] = {}
        self.uid = os.geteuid()
        self.rules.parent.mkdir(parents=True)
        self.write(self.rules, RULES)
        self.write(self.more, MORE)
        self.write(self.values, "a@example.org\n")
        self.write(self.away, "I am away.\n")
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        self.set_clock(monkeypatch, 3600)

    @staticmethod
    def set_clock(monkeypatch: pytest.MonkeyPatch, later_s: float) -> None:
        """Let rulescache see another time: a file's change cannot be dated back."""

        let_time_pass(monkeypatch, later_s)

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    def cache(self, override: str | None = None, **other: str) -> RulesCache:
        home = other.get("home", str(self.directory))
        envelope = Envelope("ann", home, self.uid, "", "ann", "ann", "", "", "", "", "", "", "", "")
        return RulesCache(envelope, override, self.environ)

    def compile(self, override: str | None = None) -> Program:
        """A delivery that finds nothing kept."""
        cache = self.cache(override)
        assert cache.fetch() is None
        home = str(self.directory)
        cache.program = load_rules(home, self.uid, override, cache.files).program
        assert cache.program is not None
        cache.keep()
        return cache.program


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path / "ann", monkeypatch)


def test_kept_rules_are_found_again(home: Home) -> None:
    compiled = home.compile()
    found = home.cache().fetch()
    assert found == compiled
    assert repr(found) == repr(compiled)


def test_the_absence_of_rules_is_kept_too(home: Home) -> None:
    home.rules.unlink()
    compiled = home.compile()
    assert home.cache().fetch() == compiled


def test_the_file_is_private_and_nothing_lies_beside_it(home: Home) -> None:
    home.compile()
    assert home.kept.stat().st_mode & 0o7777 == 0o600
    assert list(home.kept.parent.iterdir()) == [home.kept]


def test_an_absolute_xdg_cache_home_is_followed_and_a_relative_one_not(
    home: Home, tmp_path: Path
) -> None:
    home.environ["XDG_CACHE_HOME"] = str(tmp_path / "elsewhere")
    home.compile()
    assert (tmp_path / "elsewhere" / "mdeliver" / "rules").exists()
    home.environ["XDG_CACHE_HOME"] = "elsewhere"
    home.compile()
    assert home.kept.exists()


# --- what changed ----------------------------------------------------------------------------


def rewrite(home: Home) -> None:
    home.write(home.rules, RULES + "keep\n")


def rewrite_with_the_old_time_and_size(home: Home) -> None:
    before = home.rules.stat()
    home.write(home.rules, RULES.replace("seen", "draft")[: before.st_size])
    os.utime(home.rules, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_another_in_its_place(home: Home) -> None:
    before = home.rules.stat()
    home.write(home.rules.with_name("rules.new"), RULES)
    home.rules.with_name("rules.new").rename(home.rules)
    os.utime(home.rules, ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite_the_included_file(home: Home) -> None:
    home.write(home.more, 'me = "b@example.org"\n')


def rewrite_the_reply(home: Home) -> None:
    home.write(home.away, "I am back.\n")


def rewrite_the_file_of_values(home: Home) -> None:
    home.write(home.values, "b@example.org\n")


def remove_the_rules(home: Home) -> None:
    home.rules.unlink()


def remove_the_included_file(home: Home) -> None:
    home.more.unlink()


def let_others_write_it(home: Home) -> None:
    home.rules.chmod(0o622)


def give_it_away(home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(home.rules, 4711, -1)


def link_to_it_from_elsewhere(home: Home) -> None:
    """The same file under another name is the same; another file behind a link is not."""
    home.write(home.rules.with_name("other"), RULES)
    home.rules.unlink()
    home.rules.symlink_to("other")


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        rewrite_with_the_old_time_and_size,
        put_another_in_its_place,
        rewrite_the_included_file,
        rewrite_the_file_of_values,
        rewrite_the_reply,
        remove_the_rules,
        remove_the_included_file,
        let_others_write_it,
        give_it_away,
        link_to_it_from_elsewhere,
    ],
)
def test_a_change_is_seen(home: Home, change: Callable[[Home], None]) -> None:
    home.compile()
    change(home)
    assert home.cache().fetch() is None


def test_new_rules_are_seen_where_there_were_none(home: Home) -> None:
    away = home.rules.rename(home.rules.with_name("away"))
    home.compile()
    away.rename(home.rules)
    assert home.cache().fetch() is None


def test_other_rules_files_are_another_question(home: Home) -> None:
    home.compile()
    assert home.cache(str(home.more)).fetch() is None
    home.compile(str(home.more))
    assert home.cache().fetch() is None


def test_another_home_is_another_question(home: Home) -> None:
    home.environ["XDG_CACHE_HOME"] = str(home.kept.parent.parent)
    home.compile()
    # Not even where it has the same files: an include may begin with "~/".
    (home.directory.parent / "bob").symlink_to(home.directory)
    assert home.cache(home=str(home.directory.parent / "bob")).fetch() is None


@pytest.mark.parametrize(
    ("module", "name"), [(mdeliver, "__version__"), (mdeliver, "__file__"), (sys, "version")]
)
def test_another_mdeliver_or_interpreter_is_another_question(
    home: Home, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    home.compile()
    other = str(home.rules) if name == "__file__" else "0"
    monkeypatch.setattr(module, name, other)
    assert home.cache().fetch() is None


def test_rules_that_just_changed_are_not_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.set_clock(monkeypatch, 1)
    home.compile()
    assert not home.kept.exists()


def test_rules_that_vanished_before_they_were_read_are_not_kept(home: Home) -> None:
    cache = home.cache()
    text = home.rules.read_text()
    home.rules.unlink()
    cache.program = load_rules(str(home.directory), home.uid, None, cache.files).program
    cache.keep()
    home.write(home.rules, text)
    assert home.cache().fetch() is None


def test_an_installation_without_files_keeps_nothing_and_delivers(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mdeliver, "__file__", "/no/such/archive/mdeliver/__init__.py")
    home.compile()
    home.compile()
    assert not home.kept.exists()


def test_nothing_is_kept_of_rules_that_were_not_compiled(home: Home) -> None:
    home.cache().keep()
    assert not home.kept.exists()


# --- what somebody did to the kept file --------------------------------------------------------


def truncate(home: Home) -> None:
    home.kept.write_bytes(home.kept.read_bytes()[:-1])


def empty(home: Home) -> None:
    home.kept.write_bytes(b"")


def put_a_link_in_its_place(home: Home) -> None:
    home.kept.symlink_to(home.kept.rename(home.kept.with_name("other")))


def give_it_a_second_name(home: Home) -> None:
    os.link(home.kept, home.kept.with_name("other"))


def let_others_write_the_kept_file(home: Home) -> None:
    home.kept.chmod(0o622)


def give_the_kept_file_away(home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(home.kept, 4711, -1)


def put_a_directory_in_its_place(home: Home) -> None:
    home.kept.unlink()
    home.kept.mkdir()


def put_a_fifo_in_its_place(home: Home) -> None:
    home.kept.unlink()
    os.mkfifo(home.kept, 0o600)


def let_it_grow_too_large(home: Home) -> None:
    os.truncate(home.kept, limits.CACHE_BYTES + 1)


def write_another_thing(home: Home) -> None:
    import marshal

    rulescache._write(str(home.kept), marshal.dumps(42))


@pytest.mark.parametrize(
    "tamper",
    [
        truncate,
        empty,
        put_a_link_in_its_place,
        give_it_a_second_name,
        let_others_write_the_kept_file,
        give_the_kept_file_away,
        put_a_directory_in_its_place,
        put_a_fifo_in_its_place,
        let_it_grow_too_large,
        write_another_thing,
    ],
)
def test_a_kept_file_that_is_not_as_it_was_written_is_not_believed(
    home: Home, tamper: Callable[[Home], None]
) -> None:
    home.compile()
    tamper(home)
    assert home.cache().fetch() is None


def test_no_flipped_bit_is_believed(home: Home) -> None:
    home.compile()
    octets = home.kept.read_bytes()
    for at in range(0, len(octets), 7):
        home.kept.write_bytes(octets[:at] + bytes([octets[at] ^ 1 << at % 8]) + octets[at + 1 :])
        assert home.cache().fetch() is None, at


def test_what_a_killed_delivery_left_is_replaced(home: Home) -> None:
    home.kept.parent.mkdir(parents=True)
    home.kept.with_name("rules.new").write_bytes(b"half")
    compiled = home.compile()
    assert list(home.kept.parent.iterdir()) == [home.kept]
    assert home.cache().fetch() == compiled


def test_a_place_that_cannot_be_written_is_no_failure(home: Home) -> None:
    (home.directory / ".cache").write_text("a file where the directory should be")
    home.compile()
    home.compile()


def test_a_program_that_is_too_large_is_not_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CACHE_BYTES", 100)
    home.compile()
    assert not home.kept.exists()

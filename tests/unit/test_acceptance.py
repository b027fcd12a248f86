"""Changed rules whose cases fail: the last good ones stay in use, and one line says so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mdeliver import acceptance, agent, limits
from mdeliver.envelope import Envelope
from mdeliver.language.syntax import Program
from mdeliver.letter import letter_of
from mdeliver.outcome import Outcome
from mdeliver.replay import trial
from mdeliver.replay.cases import Case
from mdeliver.rulescache import RulesCache
from mdeliver.settings import Site
from tests.settledfiles import let_time_pass

GOOD = 'mailbox imap = maildir "~/Maildir"\ninbox = imap\nif subject is "x": file to imap/X\n'
CASES = 'required\nmessage "x goes to X":\n    Subject: x\nfiles to imap/X\n'


class Home:
    """Somebody's rules with cases beside them, on a host whose clock shows an hour later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rules = path / ".config" / "mdeliver" / "rules"
        self.cases = self.rules.with_name("rules.cases")
        self.state = path / ".local" / "state" / "mdeliver"
        self.rules.parent.mkdir(parents=True)
        self.state.mkdir(parents=True)
        self.envelope = Envelope("ann", str(path), os.geteuid(), recipient="ann@example.org")
        self.site = Site(log_decisions=False, syslog="")
        self.write(self.rules, GOOD)
        self.write(self.cases, CASES)

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    def program(self, override: str | None = None) -> Program | Outcome:
        """What a delivery goes by, which keeps it in its cache."""
        cache = RulesCache(self.envelope, override, {}, self.site)
        found = agent.program_for(cache, self.envelope, override, self.site)
        cache.keep()
        return found

    def deliver(self) -> str:
        """Deliver a message with the subject x; the folders that it is in, and what is said."""
        found = self.program()
        if isinstance(found, Outcome):
            return found.line
        before = set(self.path.rglob("new/*"))
        letter = letter_of(b"Subject: x\n\n%d\n" % time.time_ns())
        outcome = agent.deliver_letter(found, letter, self.envelope, self.site, str(self.state))
        (where,) = set(self.path.rglob("new/*")) - before
        return f"{where.parent.parent.name} {outcome.line}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    let_time_pass(monkeypatch)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return Home(tmp_path)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the cases that were tried."""
    titles: list[str] = []
    try_case = trial.try_case

    def noting(rules: trial.Trial, case: Case, *rest: object) -> trial.Tried:
        titles.append(case.title)
        return try_case(rules, case, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "try_case", noting)
    return titles


def test_rules_whose_cases_hold_are_used(home: Home) -> None:
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"


def test_rules_whose_cases_fail_are_not_and_one_line_says_so(home: Home) -> None:
    home.deliver()
    home.write(home.rules, GOOD.replace("imap/X", "imap/Y"))
    said = home.deliver()
    assert said.startswith(".X 2.0.0 delivered to 1 place, by the rules of ")
    assert said.endswith(
        f'since {home.cases}:2: C106 "x goes to X" does not hold: files to imap/X (instead: imap/Y)'
    )
    assert "\n" not in said
    home.write(home.rules, GOOD.replace("imap/X", "imap/Z"))
    assert home.deliver().startswith(".X ")


def test_rules_that_were_mended_are_used(home: Home) -> None:
    home.deliver()
    home.write(home.rules, "keep\n")
    assert home.deliver().startswith(".X ")
    home.write(home.rules, GOOD.replace('is "x"', 'contains "x"'))
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"
    home.write(home.rules, GOOD.replace("imap/X", "imap/Y"))
    home.write(home.cases, CASES.replace("imap/X", "imap/Y"))
    assert home.deliver() == ".Y 2.0.0 delivered to 1 place"


@pytest.mark.parametrize("kept", [True, False], ids=["cached", "no cache"])
def test_a_set_of_files_is_tried_once(home: Home, tried: list[str], kept: bool) -> None:
    for rules in (GOOD, GOOD.replace("imap/X", "imap/Y")):
        home.write(home.rules, rules)
        for _ in range(3):
            home.deliver()
            if not kept:
                (home.path / ".cache" / "mdeliver" / "rules").unlink(missing_ok=True)
    assert tried == ["x goes to X"] * 2


def test_another_case_is_another_set(home: Home, tried: list[str]) -> None:
    home.deliver()
    home.write(home.cases, CASES + 'message "y stays":\n    Subject: y\nkeeps\n')
    home.deliver()
    assert tried == ["x goes to X", "x goes to X", "y stays"]


def test_a_message_in_a_file_is_part_of_the_set(home: Home) -> None:
    home.write(home.cases, 'required\nmessage "x" in "x.eml"\nfiles to imap/X\n')
    message = home.cases.with_name("x.eml")
    assert home.deliver().startswith("4.3.5 ")
    home.write(message, "Subject: x\n\n")
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"
    home.write(message, "Subject: another\n\n")
    assert "C106" in home.deliver()


def test_without_last_good_ones_it_is_as_with_an_error(home: Home) -> None:
    home.write(home.rules, "keep\n")
    line = home.deliver()
    assert line.startswith(f"4.3.5 {home.cases}:2: C106 ")
    assert line.endswith("; no earlier rules are known whose cases held")
    home.site = home.site.replace(on_rules_error="inbox")
    program = home.program()
    assert isinstance(program, Program)
    assert "C106" in program.notice
    home.site = home.site.replace(on_rules_error="defer")
    assert isinstance(home.program(), Outcome)


def test_rules_with_an_error_defer_whatever_was_good_before(home: Home) -> None:
    home.deliver()
    home.write(home.rules, "nonsense\n")
    assert home.deliver().startswith(f"4.3.5 {home.rules}:1:1: error E201")


@pytest.mark.parametrize("cases", [CASES.removeprefix("required\n"), "nonsense\n"])
def test_cases_that_nobody_requires_are_nothing_to_a_delivery(
    home: Home, tried: list[str], cases: str
) -> None:
    home.write(home.rules, GOOD.replace("imap/X", "imap/Y"))
    home.write(home.cases, cases)
    assert home.deliver() == ".Y 2.0.0 delivered to 1 place"
    assert tried == []


def test_the_site_requires_them_of_all(home: Home) -> None:
    home.write(home.rules, GOOD.replace("imap/X", "imap/Y"))
    home.write(home.cases, CASES.removeprefix("required\n"))
    assert home.deliver().startswith(".Y")
    home.site = home.site.replace(cases_required=True)
    assert "C106" in home.deliver()
    home.cases.unlink()
    assert home.deliver() == ".Y 2.0.0 delivered to 1 place"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda cases: cases.chmod(0o666), "can be written by others"),
        (lambda cases: cases.write_text("nonsense\n"), "C102"),
        (lambda cases: cases.write_text(CASES + "files to nowhere/X\n"), "E302"),
    ],
)
def test_cases_that_cannot_be_tried_do_not_hold(
    home: Home, spoil: Callable[[Path], None], said: str
) -> None:
    home.site = home.site.replace(cases_required=True)
    home.deliver()
    spoil(home.cases)
    line = home.deliver()
    assert line.startswith(".X 2.0.0 delivered to 1 place, by the rules of ")
    assert said in line


def test_the_sites_cases_are_about_the_sites_rules(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may send elsewhere what the site leaves in the inbox."""
    site_rules = home.path / "site"
    home.write(site_rules, 'if subject is "spam": file to imap/Junk\n')
    home.write(
        site_rules.with_name("site.cases"),
        'required\nmessage "no spam":\n    Subject: x\nkeeps\n'
        'message "spam":\n    Subject: spam\nfiles to imap/Junk\n',
    )
    monkeypatch.setattr("mdeliver.rulesfile.SITE_RULES", str(site_rules))
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"
    home.write(site_rules, 'if subject is "x": file to imap/Junk\n')
    assert "site.cases:2: C106" in home.deliver()


def test_rules_named_on_the_command_line_have_their_cases(home: Home) -> None:
    rules = home.path / "my.rules"
    home.write(rules, "keep\n")
    home.write(home.path / "my.cases", CASES)
    assert isinstance(home.program(str(rules)), Outcome)


def test_what_they_include_is_kept_too(home: Home) -> None:
    more = home.rules.with_name("more")
    home.write(home.rules, GOOD + 'include "more"\nif from is lines of "list": keep\n')
    home.write(home.rules.with_name("list"), "a@b\n")
    home.write(more, "keep as seen\n")
    home.deliver()
    home.write(home.rules, GOOD.replace("imap/X", "imap/Y"))
    more.unlink()
    home.rules.with_name("list").unlink()
    assert home.deliver().startswith(".X ")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"good": 1}', '{"good": {"digest": 1}}', "nul\0"])
def test_a_spoiled_record_is_as_none(home: Home, text: str) -> None:
    home.deliver()
    home.write(home.state / acceptance.KEPT, text)
    home.write(home.rules, "keep\n")
    assert home.deliver().startswith("4.3.5 ")
    home.write(home.rules, GOOD)
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"


def test_a_record_of_somebody_else_is_none(home: Home) -> None:
    home.deliver()
    kept = home.state / acceptance.KEPT
    kept.rename(home.path / "elsewhere")
    kept.symlink_to(home.path / "elsewhere")
    home.write(home.rules, "keep\n")
    assert home.deliver().startswith("4.3.5 ")


def test_a_state_directory_that_cannot_be_written_costs_a_trial_each_time(
    home: Home, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mdeliver.durable.rename", full)
    for _ in range(2):
        assert isinstance(home.program(), Program)
    assert len(tried) == 2
    assert list(home.state.iterdir()) == []


def test_cases_that_take_too_long_do_not_hold(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CASES_S", -1)
    assert "C107" in home.deliver()


def test_what_a_slow_moment_refused_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as slow:
        slow.setattr(limits, "CASES_S", -1)
        assert "C107" in home.deliver()
    assert "C107" in home.deliver(), "not by each delivery: it takes long"
    monkeypatch.setattr(limits, "CASES_AGAIN_S", 0)
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"


def test_other_settings_are_tried_again(home: Home) -> None:
    home.deliver()
    home.write(home.rules, GOOD + 'if subject is "sent": file to imap/{sent}\n')
    home.write(home.cases, CASES + 'message "s":\n    Subject: sent\nfiles to imap/Gone\n')
    assert "C106" in home.deliver()
    home.site = home.site.replace(sent_folder="Gone")
    assert home.deliver() == ".X 2.0.0 delivered to 1 place"


def test_rules_named_on_the_command_line_are_not_the_last_good_ones(home: Home) -> None:
    home.deliver()
    rules = home.path / "my.rules"
    home.write(rules, GOOD.replace("file to imap/X", "file to imap/X, imap/Mine"))
    home.write(home.path / "my.cases", CASES.replace("files", "also files"))
    assert isinstance(home.program(str(rules)), Program)
    home.write(home.rules, "discard\n")
    assert home.deliver().startswith(".X 2.0.0 delivered to 1 place, by the rules of ")
    home.write(rules, "discard\n")
    mine = home.program(str(rules))
    assert isinstance(mine, Program)
    assert mine.notice


def test_a_rejection_and_a_deferral_tell_nobody_else(home: Home) -> None:
    home.write(home.rules, GOOD + 'if subject is "no": reject\n')
    home.deliver()
    home.write(home.rules, "keep\n")
    program = home.program()
    assert isinstance(program, Program)
    assert program.notice
    letter = letter_of(b"Subject: no\n\n")
    outcome = agent.deliver_letter(program, letter, home.envelope, home.site, str(home.state))
    assert outcome.line == "5.7.1 refused by the recipient's rules"

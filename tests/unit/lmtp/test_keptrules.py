"""Rules that a worker keeps: whoever asks for other ones is never served these."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.envelope import Envelope
from mdeliver.language.syntax import Program
from mdeliver.lmtp.keptrules import KeptRules
from mdeliver.outcome import Outcome
from mdeliver.settings import Site
from tests.settledfiles import let_time_pass

SITE = Site(syslog="", log_decisions=False)
CASES = 'message "all is for us":\n    Subject: x\nfiles to imap, pop3\n'


class Home:
    """Somebody with rules at two places, and the rules that a worker keeps for them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = KeptRules()
        for place, rules in ((".config", "keep\n"), ("other", "discard\n")):
            (path / place / "mdeliver").mkdir(parents=True)
            self.write(place, rules)

    def write(self, place: str, text: str, name: str = "rules") -> None:
        rules = self.path / place / "mdeliver" / name
        rules.write_text(text)
        rules.chmod(0o600)

    def asked(self, site: Site = SITE, user: str = "ann", home: str = "") -> Program | Outcome:
        envelope = Envelope(user, home or str(self.path), os.geteuid())
        return self.kept.program(envelope, None, {}, site)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    let_time_pass(monkeypatch)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return Home(tmp_path)


def test_the_same_question_has_the_same_answer(home: Home) -> None:
    assert home.asked() is home.asked()
    home.kept.look_again()
    assert home.asked() is home.asked()


def test_another_xdg_config_home_in_the_same_round(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = home.asked()
    assert home.asked() is first
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "other"))
    second = home.asked()
    assert isinstance(second, Program)
    assert second != first
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert home.asked() == first


def test_another_home_with_the_same_xdg_config_home(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is included is read from the home."""
    (home.path / "bob").mkdir()
    for owner, text in ((home.path, "keep\n"), (home.path / "bob", "discard\n")):
        (owner / "mine").write_text(text)
        (owner / "mine").chmod(0o600)
    home.write("other", 'include "~/mine"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "other"))
    assert home.asked(home=str(home.path / "bob")) != home.asked()


def test_settings_by_which_cases_must_hold(home: Home) -> None:
    """Another launcher's --settings may ask for what this one's did not."""
    home.write(".config", CASES.replace("pop3", "imap/X"), "rules.cases")
    assert isinstance(home.asked(), Program)
    refused = home.asked(SITE.replace(cases_required=True))
    assert isinstance(refused, Outcome)
    assert "does not hold" in refused.line
    assert isinstance(home.asked(), Program)


def test_cases_are_tried_by_the_settings_of_whoever_asks(home: Home) -> None:
    """By other domains, or for another user, they may not hold."""
    home.write(".config", 'if to domain is "a.example": discard\nkeep\n')
    home.write(".config", "required\n" + CASES, "rules.cases")
    first = home.asked()
    assert isinstance(first, Program)
    assert home.asked() is first
    assert home.asked(user="bob") is not first
    again = home.asked()
    assert home.asked() is again
    assert home.asked(SITE.replace(domains=("a.example",))) is not again


def test_rules_that_stood_in_for_bad_ones_are_not_kept(home: Home) -> None:
    """What was missing is there again, and no file that was read has changed."""
    site = SITE.replace(on_rules_error="inbox")
    home.write(".config", 'include "~/mine"\n')
    stood_in = home.asked(site)
    (home.path / "mine").write_text("discard\n")
    (home.path / "mine").chmod(0o600)
    home.kept.look_again()
    assert isinstance(stood_in, Program)
    assert home.asked(site) != stood_in

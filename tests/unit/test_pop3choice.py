"""`pop3_gets`: whether the mbox gets a copy of what arrives in the inbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.decision import decide, load_rules
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.outcome import Deferral
from mdeliver.plan import Decision, File
from mdeliver.settings import Site, load_site

NOTHING = 'pop3_gets = "nothing"\n'


def chosen(home: Path, text: str) -> None:
    """The user's choices."""
    path = home / ".config" / "mdeliver" / "pop-sync.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def decision(home: Path, site: Site, rules: str = "", explain: bool = False) -> Decision:
    path = home / "rules"
    path.write_text(rules)
    path.chmod(0o600)
    program = load_rules(str(home), os.getuid(), str(path)).program
    assert program is not None
    envelope = Envelope("ann", str(home), os.getuid(), sender="b@example.net")
    letter = letter_of(b"Subject: s\n\ntext\n")
    return decide(program, letter, envelope, site, explain=explain)


def places(home: Path, site: Site, rules: str = "") -> list[str]:
    plan = decision(home, site, rules).plan
    return [action.store for action in plan.actions if isinstance(action, File)]


@pytest.mark.parametrize("choice", ["mail from now on", "all mail"])
def test_the_inbox_is_both_stores(tmp_path: Path, choice: str) -> None:
    assert places(tmp_path, Site(pop3_gets=choice)) == ["maildir", "mbox"]


@pytest.mark.parametrize("rules", ["", "keep", "keep as flagged", "also file to inbox"])
def test_nothing_leaves_the_mbox_out_of_the_inbox(tmp_path: Path, rules: str) -> None:
    assert places(tmp_path, Site(pop3_gets="nothing"), rules) == ["maildir"]


@pytest.mark.parametrize(
    ("rules", "stores"),
    [
        ("file to pop3", ["mbox"]),
        ("file to pop3, inbox", ["mbox", "maildir"]),
        ("inbox = pop3", ["mbox"]),
        ('inbox = pop3, mbox "other"', ["mbox", "mbox"]),
    ],
)
def test_what_names_the_mbox_or_has_nothing_else_gets_it(
    tmp_path: Path, rules: str, stores: list[str]
) -> None:
    assert places(tmp_path, Site(pop3_gets="nothing"), rules) == stores


def test_the_users_choice_wins(tmp_path: Path) -> None:
    chosen(tmp_path, 'downloaded = "read"\n' + NOTHING)
    assert places(tmp_path, Site()) == ["maildir"]
    chosen(tmp_path, 'pop3_gets = "mail from now on"\n')
    assert places(tmp_path, Site(pop3_gets="nothing")) == ["maildir", "mbox"]
    chosen(tmp_path, 'downloaded = "read"\n')
    assert places(tmp_path, Site(pop3_gets="nothing")) == ["maildir"]


@pytest.mark.parametrize("text", ['pop3_gets = "some"', "pop3_gets = 1", "pop3_gets = "])
def test_a_wrong_choice_defers(tmp_path: Path, text: str) -> None:
    chosen(tmp_path, text)
    with pytest.raises(Deferral, match=r"pop-sync\.toml: "):
        places(tmp_path, Site())


def test_the_explanation_names_the_mbox(tmp_path: Path) -> None:
    trace = decision(tmp_path, Site(pop3_gets="nothing"), explain=True).trace
    words = 'no copy in /var/mail/ann: pop3_gets is "nothing"'
    assert [step.source for step in trace if step.rule == "inbox"] == [words]
    trace = decision(tmp_path, Site(pop3_gets="nothing"), "keep", explain=True).trace
    assert [step.source for step in trace if step.rule.endswith("rules:1")][:1] == [words]
    trace = decision(tmp_path, Site(), explain=True).trace
    assert not [step for step in trace if "no copy" in step.source]


def test_the_sites_choice(tmp_path: Path) -> None:
    path = tmp_path / "mdeliver.toml"
    path.write_text("[pop_sync]\n" + NOTHING)
    assert load_site(str(path)).pop3_gets == "nothing"
    path.write_text('[pop_sync]\npop3_gets = "none"\n')
    with pytest.raises(Deferral, match=r"mdeliver\.toml: pop_sync\.pop3_gets is"):
        load_site(str(path))

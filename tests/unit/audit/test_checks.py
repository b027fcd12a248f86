"""`mdeliver audit`: what is sound, what is not, and what to paste."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mdeliver.audit.checks import CHECKS, GROUPS
from mdeliver.cli.audit import command
from mdeliver.cli.bcc_maps import command as bcc_maps
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import setup

Audit = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def settings(etc: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mdeliver.toml"
    path.write_text(
        f'[sent]\nbelieve_tags = true\ntags = "{tmp_path}/tags"\n'
        f'[bcc_maps]\nsources = ["list:{tmp_path}/list"]\n'
        f'key = "{tmp_path}/keys"\ntags = "{tmp_path}/tags"\npostfix = "{etc}"\n'
    )
    (tmp_path / "list").write_text("ann@example.org\n")
    return path


@pytest.fixture
def audit(settings: Path) -> Audit:
    """Audit, and return the findings of the given level."""

    def audit(level: str, *checks: str) -> list[dict[str, Any]]:
        done = invoke(settings, "--json", *checks)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        failed = any(finding["level"] == "failure" for finding in found)
        assert done.exit_code == (1 if failed else 0)
        return [finding for finding in found if finding["level"] == level]

    return audit


def invoke(settings: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["--settings", str(settings), *options])


def make_tables(settings: Path, *options: str) -> None:
    done = CliRunner().invoke(bcc_maps, ["--settings", str(settings), *options])
    assert done.exit_code == 0, done.output


def apply(etc: Path) -> None:
    """What --apply does, without `postfix check`, which wants queues and root."""
    postfix = Postfix(str(etc))
    maps = [f"hash:{etc}/sender_bcc{end}" for end in ("", "-local", "-login")]
    for change in setup.needed(maps, postfix, postfix.services()):
        postfix.run("postconf", change.flag, f"{change.name}={change.value}")
    assert setup.needed(maps, postfix, postfix.services()) == []


def add(etc: Path, text: str) -> None:
    with (etc / "main.cf").open("a") as main:
        main.write(text)


def test_without_any_map_there_is_advice(audit: Audit) -> None:
    (advice,) = audit("advice", "sent-map")
    assert advice["setting"] == ["mdeliver bcc-maps --apply"]


def test_what_apply_makes_is_sound(audit: Audit, settings: Path, etc: Path) -> None:
    make_tables(settings)
    apply(etc)
    assert audit("failure", "sent-map", "sent-scope") == audit("warning", "sent-scope") == []
    fine = " ".join(f["what"] for f in audit("fine", "sent-scope"))
    assert "submission/inet knows its senders, and cleanup-sent sends copies for it" in fine


def test_a_tagged_map_in_main_cf_is_not_sound(audit: Audit, settings: Path, etc: Path) -> None:
    make_tables(settings)
    add(etc, f"sender_bcc_maps = hash:{etc}/sender_bcc\n")
    found = {f["what"].split()[0]: f["why"] for f in audit("failure", "sent-scope")}
    # Nor is submission: it does not keep clients to their own addresses.
    assert set(found) == {"smtp/inet", "pickup/unix", "submission/inet"}
    assert "it is filed as sent by me" in found["smtp/inet"]


def test_a_cleanup_that_another_service_feeds_too_is_not_sound(
    audit: Audit, settings: Path, etc: Path
) -> None:
    make_tables(settings)
    apply(etc)
    Postfix(str(etc)).run("postconf", "-P", "smtp/inet/cleanup_service_name=cleanup-sent")
    (failure,) = audit("failure", "sent-scope")
    assert failure["what"].startswith("smtp/inet brings mail of senders it does not know")


def test_a_login_map_that_may_lack_senders_is_not_sound(
    audit: Audit, settings: Path, etc: Path
) -> None:
    make_tables(settings)
    apply(etc)
    postfix = Postfix(str(etc))
    postfix.run("postconf", "-P", f"submission/inet/smtpd_sender_login_maps=hash:{etc}/theirs")
    (failure,) = audit("failure", "sent-scope")
    assert failure["what"].startswith("submission/inet brings mail of senders it does not know")
    strict = "submission/inet/smtpd_sender_restrictions=reject_sender_login_mismatch"
    postfix.run("postconf", "-P", strict)
    assert audit("failure", "sent-scope") == []


def test_a_table_that_cannot_be_read_is_not_taken_for_one_without_tags(
    audit: Audit, settings: Path, etc: Path
) -> None:
    make_tables(settings)
    add(etc, f"sender_bcc_maps = hash:{etc}/sender_bcc\n")
    (etc / "sender_bcc.db").write_bytes(b"x")
    (failure,) = audit("failure", "sent-scope")
    assert failure["what"].startswith("cannot be checked: postmap -s")


def test_a_plain_map_in_main_cf_is_a_warning(audit: Audit, settings: Path, etc: Path) -> None:
    make_tables(settings, "--no-tags")
    add(etc, f"sender_bcc_maps = hash:{etc}/sender_bcc\n")
    assert audit("failure", "sent-scope") == []
    assert [f["what"].split()[0] for f in audit("warning", "sent-scope")] == [
        "smtp/inet", "submission/inet",
    ]  # fmt: skip


def test_tags_that_nobody_believes(audit: Audit, settings: Path, etc: Path) -> None:
    make_tables(settings)
    apply(etc)
    settings.write_text(settings.read_text().replace("= true", "= false"))
    (warning,) = audit("warning", "sent-scope")
    assert warning["setting"] == ["[sent]", "believe_tags = true"]


def test_a_stale_table_and_one_that_is_not_used(
    audit: Audit, settings: Path, etc: Path, tmp_path: Path
) -> None:
    make_tables(settings)
    apply(etc)
    (tmp_path / "list").write_text("ann@example.org\nnew@example.org\n")
    (stale,) = audit("failure", "sent-map")
    assert "1 senders are missing, 0 should go" in stale["what"]
    make_tables(settings)
    Postfix(str(etc)).run("postconf", "-P", "cleanup-sent/unix/sender_bcc_maps=inline:{a=b}")
    (unused,) = audit("failure", "sent-map")
    assert unused["what"] == f"Postfix does not use hash:{etc}/sender_bcc"


def test_a_live_map_that_is_asked_from_a_chroot(
    audit: Audit, settings: Path, etc: Path, tmp_path: Path
) -> None:
    text = settings.read_text().replace(
        "[bcc_maps]\n", f'[bcc_maps]\nserve = "unix:{tmp_path}/socket"\n'
    )
    settings.write_text(text)
    make_tables(settings)
    postfix = Postfix(str(etc))
    maps = [f"socketmap:unix:{tmp_path}/socket:sender_bcc{end}" for end in ("", "-local", "-login")]
    for change in setup.needed(maps, postfix, postfix.services()):
        postfix.run("postconf", change.flag, f"{change.name}={change.value}")
    assert audit("failure", "sent-map", "sent-scope") == []
    postfix.run("postconf", "-F", "submission/inet/chroot=y")
    (failure,) = audit("failure", "sent-map")
    assert failure["setting"][0] == "postconf -F 'submission/inet/chroot=n'"


def test_digests_that_no_delivery_reads(audit: Audit, settings: Path, etc: Path) -> None:
    make_tables(settings)
    apply(etc)
    text = settings.read_text()
    settings.write_text(text.replace("\ntags = ", "\n# ", 1))
    (failure,) = audit("failure", "sent-map")
    assert failure["what"].startswith("deliveries look tags up in /var/lib/mdeliver/sent.tags")


def test_a_source_in_trouble_is_a_failure_of_the_check(
    audit: Audit, etc: Path, settings: Path, tmp_path: Path
) -> None:
    make_tables(settings)
    apply(etc)
    (tmp_path / "list").write_text("nonsense\n")
    (failure,) = audit("failure", "sent-map")
    assert 'list:1: "nonsense" has no @' in failure["what"]


@pytest.mark.parametrize(
    ("value", "level", "setting"),
    [
        ("", "failure", "postconf -e 'recipient_delimiter = +'"),
        ("-", "failure", 'recipient_delimiter = "-"'),
        ("+", "fine", None),
    ],
)
def test_the_delimiter(
    audit: Audit, etc: Path, value: str, level: str, setting: str | None
) -> None:
    add(etc, f"recipient_delimiter = {value}\n")
    (finding,) = audit(level, "delimiter")
    assert setting is None or setting in finding["setting"]


@pytest.mark.parametrize(
    ("main", "level"),
    [
        ("", "warning"),
        ("home_mailbox = Maildir/\n", "fine"),
        ("mailbox_transport = lmtp:unix:/run/x\n", "fine"),
        ("home_mailbox = Maildir/\nmailbox_command = x\n", "warning"),
        ("mailbox_command = x\nmailbox_size_limit = 0\n", "fine"),
        ("mailbox_command = x\nmailbox_size_limit = 900000000000\n", "warning"),
        ("mailbox_command = x\nmailbox_size_limit = 10240000\n", "failure"),
        ("mailbox_command = x\nmessage_size_limit = 0\n", "failure"),
    ],
)
def test_the_size_of_mailboxes(audit: Audit, etc: Path, main: str, level: str) -> None:
    add(etc, main)
    assert len(audit(level, "mailbox-limit")) == 1


def test_programs_of_forward_keep_to_the_size_too(audit: Audit, etc: Path) -> None:
    add(etc, "home_mailbox = Maildir/\nmailbox_size_limit = 51200000\n")
    (finding,) = audit("fine", "mailbox-limit")
    assert "(51200000) holds for programs of .forward" in finding["what"]


def test_people_are_told_what_why_how_and_what_to_paste(settings: Path) -> None:
    done = invoke(settings, "sent-map")
    assert done.stdout.splitlines() == [
        "advice sent-map: Postfix sends no copies back: no cleanup service has sender_bcc_maps",
        "    why: what users send is in their Sent folders only if their clients put it there",
        "    how: have mdeliver set it up",
        "        mdeliver bcc-maps --apply",
        "1 advice",
    ]


def test_checks_are_listed_and_named(settings: Path) -> None:
    lines = invoke(settings, "--list").stdout.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith(" ")]
    assert listed == [check.name for check in CHECKS]
    groups = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert groups == list(GROUPS) == list(dict.fromkeys(check.group for check in CHECKS))
    unknown = invoke(settings, "no-such")
    assert (unknown.exit_code, "there is no check no-such" in unknown.stderr) == (2, True)
    settings.write_text("x")
    assert invoke(settings).exit_code == 78

"""What --apply sets and --undo takes back, whatever stood there and wherever it was killed."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from mdeliver.postfix import changes
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import setup
from mdeliver.settings import load_site

TAGS = "/srv/tags"


class Commands(Postfix):
    """Postfix's commands, but for `postfix check`, which wants queues; killed at the one named."""

    kill_at = ""

    def run(self, program: str, *arguments: str, **named: object) -> str:
        if self.kill_at and any(self.kill_at in argument for argument in arguments):
            os._exit(9)
        if program == "postfix":
            return ""
        return super().run(program, *arguments, **named)  # type: ignore[arg-type]


class Host:
    """A Postfix configuration, mdeliver.toml, and the record of what was there before."""

    def __init__(self, etc: Path, top: Path) -> None:
        self.etc = etc
        self.settings = top / "mdeliver.toml"
        self.keep = top / "state" / "undo"
        self.postfix = Commands(str(etc))
        self.maps = [f"hash:{etc}/sender_bcc{end}" for end in ("", "-local", "-login")]

    def apply(self, *, believe: bool = True) -> list[str]:
        needed = setup.needed(self.maps, self.postfix, self.postfix.services())
        path = str(self.settings) if believe else None
        return setup.make(needed, self.postfix, str(self.keep), path, TAGS)

    def texts(self) -> list[str | None]:
        paths = (self.etc / "main.cf", self.etc / "master.cf", self.settings)
        return [path.read_text() if path.exists() else None for path in paths]

    def own(self, service: str, name: str) -> str:
        """A setting of a service in master.cf."""
        (found,) = [s for s in self.postfix.services() if s.name == service]
        return found.settings.get(name, "")


@pytest.fixture
def host(etc: Path, tmp_path: Path) -> Host:
    return Host(etc, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[site]\nhostname = "h"',
        '[sent] # where\nfolder = "Gesendet"\n\n[site]\nhostname = "h"\n',
        f'[ sent ]\ntags = "{TAGS}"\n',
        '[site]\nhostname = "[sent]"\n[sent]\n',
    ],
)
def test_deliveries_believe_tags_whatever_else_the_site_says(host: Host, text: str) -> None:
    host.settings.write_text(text)
    before = load_site(str(host.settings))
    assert setup.says_of_belief(str(host.settings)) is None
    host.apply()
    assert load_site(str(host.settings)) == before.replace(believe_tags=True, tags_path=TAGS)
    assert setup.says_of_belief(str(host.settings)) is True


@pytest.mark.parametrize("text", ['sent = { folder = "Sent" }\n', 'sent.folder = "Sent"\n'])
def test_a_table_that_has_no_place_for_it_is_left_to_the_administrator(
    host: Host, text: str
) -> None:
    host.settings.write_text(text)
    before = host.texts()
    with pytest.raises(changes.SetupError, match=r"sent\.believe_tags"):
        host.apply()
    assert host.texts() == before
    assert not host.keep.exists()


def test_what_the_site_says_of_tags_is_known(host: Host) -> None:
    for value in (True, False):
        host.settings.write_text(f"[ sent ]  # x\nbelieve_tags = {value}\n".lower())
        assert setup.says_of_belief(str(host.settings)) is value


def test_modes_owners_and_links_stay_as_they_are(host: Host, tmp_path: Path) -> None:
    """mdeliver.toml may have the secret of SRS in it."""
    real = tmp_path / "repository.toml"
    real.write_text('[site]\nhostname = "h"\n')
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 0, 8)
    before = real.stat()
    host.settings.symlink_to(real)
    (host.etc / "main.cf").chmod(0o600)
    host.apply()
    changes.undo(str(host.keep))
    after = real.stat()
    assert host.settings.is_symlink()
    assert [(s.st_mode, s.st_uid, s.st_gid) for s in (before, after)] == [
        (before.st_mode, before.st_uid, before.st_gid)
    ] * 2
    assert (host.etc / "main.cf").stat().st_mode & 0o777 == 0o600


def test_undo_takes_back_every_apply_since_the_first(host: Host) -> None:
    before = host.texts()
    host.apply(believe=False)
    with (host.etc / "master.cf").open("a") as master:
        master.write(
            "submissions inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
        )
    changed_by_hand = host.texts()[1]
    assert sorted(host.apply()) == sorted([str(host.etc / "master.cf"), str(host.settings)])
    # In between somebody has changed master.cf: it is put back to what that somebody made.
    changes.undo(str(host.keep))
    assert host.texts() == [before[0], changed_by_hand, before[2]]

    before = host.texts()
    host.settings.write_text("")
    host.apply(believe=False)
    host.apply()
    changes.undo(str(host.keep))
    assert host.texts() == [*before[:2], ""]
    with pytest.raises(changes.SetupError, match="nothing to undo"):
        changes.undo(str(host.keep))


@pytest.mark.parametrize("at", ["cleanup-sent/unix", "inet/smtpd_sender_restrictions", "pickup"])
def test_an_apply_that_was_killed_can_be_undone_or_finished(host: Host, at: str) -> None:
    before = host.texts()
    for again in (False, True):
        child = os.fork()
        if child == 0:
            host.postfix.kill_at = at
            try:
                host.apply()
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        if again:
            host.apply()
            assert host.apply(believe=False) == []
        changes.undo(str(host.keep))
        assert host.texts() == before


def test_an_undo_that_was_killed_is_finished_by_the_next(host: Host) -> None:
    before = host.texts()
    host.apply()
    (host.etc / "master.cf").write_text(before[1] or "")
    changes.undo(str(host.keep))
    assert host.texts() == before


def test_undo_keeps_what_somebody_has_changed_since(host: Host) -> None:
    host.apply()
    with (host.etc / "master.cf").open("a") as master:
        master.write("extra unix n - n - 0 cleanup\n")
    there = host.texts()
    with pytest.raises(changes.SetupError, match="has been changed since"):
        changes.undo(str(host.keep))
    assert host.texts() == there


@pytest.mark.parametrize("later", ["mdeliver-dkim.undo", "bcc-maps.undo"])
def test_what_another_command_has_changed_since_goes_first(host: Host, later: str) -> None:
    before = host.texts()
    first, second = (str(host.etc / name) for name in ("mdeliver-postfix.undo", later))
    for keep, name in ((first, "smtpd_helo_required"), (second, "non_smtpd_milters")):
        changes.make([changes.Change("-e", name, "")], host.postfix, keep)
    command = {"m": "mdeliver dkim --revert", "b": "mdeliver bcc-maps --undo"}[later[0]]
    there = host.texts()
    with pytest.raises(changes.SetupError, match=f"main.cf .*; {command} takes that back"):
        changes.undo(first)
    assert host.texts() == there
    for keep in (second, first):
        changes.undo(keep)
    assert host.texts() == before


@pytest.mark.parametrize(
    ("restriction", "logins"),
    [
        ("reject_known_sender_login_mismatch", "{theirs},{ours}"),
        # Whoever is not in the map may send by no address at all.
        ("reject_authenticated_sender_login_mismatch", "{theirs}"),
        ("reject_sender_login_mismatch", "{theirs}"),
        ("", "{theirs},{ours}"),
    ],
)
def test_every_sender_with_a_tag_has_an_owner_whom_smtpd_knows(
    host: Host, restriction: str, logins: str
) -> None:
    """A map of the site's own may lack one: then anybody who logs in could use its address."""
    theirs = f"texthash:{host.etc}/logins"
    service = "submission/inet"
    host.postfix.run("postconf", "-e", f"smtpd_sender_login_maps={theirs}")
    if restriction:
        host.postfix.run("postconf", "-P", f"{service}/smtpd_sender_restrictions={restriction}")
    host.apply()
    found = host.own(service, "smtpd_sender_login_maps") or theirs
    assert found == logins.format(theirs=theirs, ours=host.maps[2])
    assert not setup.needed(host.maps, host.postfix, host.postfix.services())


def test_what_is_written_is_toml(host: Host) -> None:
    host.apply()
    assert tomllib.loads(host.settings.read_text()) == {
        "sent": {"believe_tags": True, "tags": TAGS}
    }


@pytest.mark.parametrize("tagged", [True, False])
def test_who_asks_a_live_map_does_not_do_so_from_a_chroot(host: Host, tagged: bool) -> None:
    """As Debian ships it; there the socket does not exist, and all mail would be put off."""
    asking = ["cleanup-sent", "cleanup-local", "submission" if tagged else "cleanup"]
    for field in ("submission/inet", "cleanup/unix", "smtp/inet"):
        host.postfix.run("postconf", "-F", f"{field}/chroot=y")
    host.apply(believe=False)  # with tables, which are opened outside
    assert {s.chroot for s in host.postfix.services() if "cleanup" in s.name} == {"y"}
    names = ("", "-local", "-login")[: 3 if tagged else 1]
    host.maps = [f"socketmap:unix:/run/x:sender_bcc{name}" for name in names]
    host.apply(believe=False)
    chroots = {s.name.partition("/")[0]: s.chroot for s in host.postfix.services()}
    assert {name for name, chroot in chroots.items() if chroot == "n"} == {"pickup", *asking}
    assert not setup.needed(host.maps, host.postfix, host.postfix.services())
    host.postfix.run("postconf", "-F", "pickup/unix/chroot=-", "smtp/inet/chroot=-")
    services = {s.name: s for s in host.postfix.services()}
    assert not setup.is_in_chroot(services["smtp/inet"], host.postfix)
    host.postfix.run("postconf", "-e", "compatibility_level=0")
    assert setup.is_in_chroot(services["smtp/inet"], host.postfix)

"""What administrators and mail programs write: settings, tables, keys, lists of users, mboxes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from mdeliver.deliver import mboxfind
from mdeliver.history.keywords import keywords_of, translated
from mdeliver.lmtp.settings import load_lmtp
from mdeliver.outcome import Deferral
from mdeliver.popsync.settings import PopSync, load_site_choices, with_users_choices
from mdeliver.replay import mboxread
from mdeliver.sent.keys import KeysError, load_keys
from mdeliver.sent.owners import SourceError
from mdeliver.sent.settings import SettingsError, load_bcc_settings
from mdeliver.sent.sources import Site, dovecot_users, listed
from mdeliver.sent.tables import TableError, read_rows
from mdeliver.settings import load_site
from tests.fuzz.target import Target, directory, write

_LOADERS: tuple[tuple[Callable[[str], Any], type[Exception]], ...] = (
    (load_site, Deferral),
    (load_lmtp, Deferral),
    (load_site_choices, Deferral),
    (load_bcc_settings, SettingsError),
)


def settings(octets: bytes) -> None:
    """mdeliver.toml: settings, or one error that says where."""
    with directory() as made:
        path = write(f"{made}/mdeliver.toml", octets)
        for load, refusal in _LOADERS:
            try:
                load(path)
            except refusal as error:
                said = str(error)
                assert path in said
        os.makedirs(f"{made}/.config/mdeliver", 0o700)
        write(f"{made}/.config/mdeliver/pop-sync.toml", octets)
        try:
            with_users_choices(PopSync(), made, os.getuid())
        except Deferral:
            pass


def users(octets: bytes) -> None:
    """Users of Dovecot, and lists of addresses: mailboxes, or errors with their lines."""
    site = Site(("example.org",), ("v.example",), "+")
    with directory() as made:
        path = write(f"{made}/users", octets)
        for read in (dovecot_users, listed):
            try:
                found = read(path, site)
            except SourceError as error:
                said = str(error)
                assert path in said
                continue
            for mailbox in found.mailboxes:
                assert mailbox.owner
                assert "\n" not in mailbox.owner + mailbox.home
        with suppress(TableError):
            read_rows(path)


def keys(octets: bytes) -> None:
    """The key file: keys in their order, or an error with its line."""
    with directory() as made:
        path = write(f"{made}/keys", octets)
        try:
            found = load_keys(path)
        except KeysError as error:
            said = str(error)
            assert path in said
            return
        assert [key.made_s for key in found] == sorted(key.made_s for key in found)


def keywords(octets: bytes) -> None:
    """Dovecot's list of keywords: letters from a to z, each with its name."""
    with directory() as folder:
        write(f"{folder}/dovecot-keywords", octets)
        found = keywords_of(folder)
    assert all("a" <= letter <= "z" and name for letter, name in found.items())
    assert set(translated("Saz", found, found)) <= {"S", *found}


def mbox(octets: bytes) -> None:
    """Any file as an mbox: every octet belongs to one message, and nothing is found that is not."""
    with directory() as made:
        fd = os.open(write(f"{made}/mbox", octets), os.O_RDWR)
        try:
            last = 0
            for entry in mboxread.entries(fd):
                assert last == 0 or entry.start == last
                assert last <= entry.start < entry.end <= len(octets)
                last = entry.end
                message = mboxread.read_entry(fd, entry)
                line = message.partition(b"\n")[0]
                mboxread.sender_of(line)
                mboxread.arrival_of(line)
            assert last in (0, len(octets))
            mboxread.is_mbox(fd)
            _found(fd, octets)
        finally:
            os.close(fd)


def _found(fd: int, octets: bytes) -> None:
    line, text = b"From a Mon\n", b"A: b\n\nhi\n\n"
    verdict, at = mboxfind.find_copy(fd, line, lambda: iter((text,)))
    if verdict == "whole":
        assert octets[at : at + len(line)] == line
    elif b"\n" + line + text in b"\n" + octets:
        assert verdict != "absent"
    for start in (0, 5):
        mboxfind.stands_at(fd, start, len(octets), (line, text))
        mboxfind.torn_tail_of(fd, start, len(line + text), line, len(octets))


_TOML = b"""\
[authentication]
resolver = ["127.0.0.1:53"]
own_networks = ["10.0.0.0/8"]
[site]
domains = ["example.org"]
recipient_delimiter = "+"
[rules]
on_error = "inbox"
[sent]
believe_tags = true
folder = "Sent"
[log]
kilobytes = 10
[forward]
srs_domain = "s.example"
srs_secret = "x"
[lmtp]
listen = ["unix:/run/x", "inet:127.0.0.1:24", "inet:[::1]:24"]
trusted = ["192.0.2.0/24"]
socket_mode = "0600"
workers = 3
[pop_sync]
downloaded = "archive"
[bcc_maps]
sources = ["passwd", "list:/etc/l"]
output = "texthash:/etc/t"
serve = "inet:localhost:9"
"""

_BOX = (
    b"From a Mon\nA: b\n\nhi\n\nFrom b@c  Mon Nov 23 10:00:00 2026\nStatus: RO\nX-UID: 3\n"
    b"Content-Length: 3\n\n>From x\n>>From y\n\nFrom MAILER-DAEMON Mon Nov 23 10:00 +0100 2026\n\n"
)


def _boxes() -> Iterator[bytes]:
    yield _BOX
    yield _BOX.replace(b"\n", b"\r\n")
    yield _BOX[:13]


TARGETS = {
    "settings": Target(
        settings,
        lambda: [_TOML],
        (*tuple(_TOML.split()), b"[" * 400, b"{a=", b'"\\u0000"', b"1e9", b"9" * 4400),
    ),
    "users": Target(
        users,
        lambda: [b"ann:{P}x:1:1::/home/ann::\nbob@v.example:::::/v/bob\n",
        b'"a b"@example.org ann\n#'],
        (b":", b"@", b'"', b"\\", b"\n", b"#", b" ", b"example.org", b"\xff", b"\0"),
    ),
    "keys": Target(keys, lambda: [b"# x\n1 " + b"ab" * 32 + b"\n2 " + b"cd" * 32], (b"9" * 4400,
    b"\n")),
    "keywords": Target(
        keywords,
        lambda: [b"0 $Label1\n1 Junk\n25 x\n"],
        (b"9" * 4400, b" ", b"\n", "²".encode(), "\u2028".encode(), b"\xff", b"\0", b"25 "),
    ),
    "mbox": Target(
        mbox, _boxes, (b"\nFrom ", b"\n>From ", b"\n\n", b"\r\n", b"Status: R", b"From a Mon\n",
        b"2026")
    ),
}  # fmt: skip

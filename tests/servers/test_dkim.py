"""OpenDKIM, set up by `mdeliver dkim`, signs what leaves a real Postfix, not what passes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dkim
import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.dkim import command
from mdeliver.dkim import keys, record
from tests.installation import lacking
from tests.servers.gatekeeper import Client
from tests.servers.plainbox import PlainBox, plain_box
from tests.servers.ports import answers_at
from tests.servers.zone import served
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

SINK = 2525
_SENT = re.compile(rf":{SINK}, .* status=sent ")
FURTHER = f"""\
default_transport = smtp:[192.0.2.25]:{SINK}
smtp_dns_support_level = disabled
smtputf8_enable = no
relay_transport = smtp:[192.0.2.25]:{SINK}
relay_recipient_maps = inline:{{ known@relay.example.org=x, gone@relay.example.org=x }}
# To this very host: a loop, which bounces.
transport_maps = inline:{{ gone@relay.example.org=smtp:[192.0.2.25]:25 }}
"""


class SigningBox:
    """A Postfix with OpenDKIM, and a server beyond that keeps what it is sent."""

    def __init__(self, box: PlainBox) -> None:
        self.box = box
        self.keys = box.top / "dkim"
        self.configuration = box.top / "opendkim.conf"
        self.beyond = box.top / "beyond"
        self.beyond.mkdir()
        shutil.chown(self.beyond, "postfix")
        self.seen: set[str] = set()

    def mdeliver(self, *arguments: str, status: int = 0) -> Result:
        """Run `mdeliver dkim` for it."""
        where = ["--postfix", str(self.box.configuration), "--directory", str(self.keys)]
        where += ["--opendkim", str(self.configuration), "--address", self.box.address]
        done = CliRunner().invoke(command, [*where, *arguments])
        assert done.exit_code == status, done.output
        return done

    @property
    def records(self) -> dict[bytes, bytes]:
        """What is published, by name."""
        found = {}
        for key in keys.registered(str(self.keys)):
            value = record.value_of(*keys.public_octets(key.path(str(self.keys))))
            found[f"{key.name}.".encode()] = value.encode()
        return found

    @contextmanager
    def published(self) -> Iterator[str]:
        """A name server that knows the keys as they are now; its address."""
        lines = [
            f"{name.decode()[:-1]} TXT {value.decode()}" for name, value in self.records.items()
        ]
        with served("\n".join(lines)) as address:
            yield address

    @contextmanager
    def running(self) -> Iterator[None]:
        """OpenDKIM with the settings that `--apply` has made."""
        # Below /tmp everybody could move directories, if it were not for the sticky bit.
        text = self.configuration.read_text()
        private = self.box.top / "opendkim-below-tmp.conf"
        private.write_text(text.replace("RequireSafeKeys       yes", "RequireSafeKeys no"))
        pid = self.box.top / "opendkim.pid"
        with subprocess.Popen(["opendkim", "-f", "-x", private, "-P", pid]) as milter:
            try:
                socket = self.box.top / "queue" / "opendkim" / "opendkim.sock"
                wait_for(lambda: answers_at(socket), "OpenDKIM's socket")
                yield
            finally:
                milter.terminate()

    def next_message(self) -> bytes:
        """The next message that has arrived beyond."""

        def arrived() -> list[Path]:
            return [path for path in self.beyond.iterdir() if path.name not in self.seen]

        def sent() -> bool:
            # What is beyond is whole once Postfix was told so.
            return len(_SENT.findall(self.box.log)) > len(self.seen)

        wait_for(sent, f"Postfix to have sent it\n{self.box.log[-3000:]}")
        (path,) = wait_for(arrived, f"a message beyond\n{self.box.log[-3000:]}")
        self.seen.add(path.name)
        head, empty, body = path.read_bytes().partition(b"\n\n")
        lines = [line for line in head.split(b"\n") if not line.startswith(b"X-")]
        # smtp-sink ends what it keeps with an empty line of its own.
        return b"\n".join(lines) + empty + body.removesuffix(b"\n")

    def signers(self, message: bytes) -> list[str]:
        """The keys whose signatures in MESSAGE hold."""
        checked = dkim.DKIM(message)
        found = []
        for number in range(message.count(b"\nDKIM-Signature:")):
            assert checked.verify(number, dnsfunc=lambda name, **_: self.records.get(name))
            found.append(f"{checked.selector.decode()}._domainkey.{checked.domain.decode()}")
        return found


@pytest.fixture
def signing() -> Iterator[SigningBox]:
    """A Postfix as it was installed, with submission, and a server beyond."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        lacking("a private Postfix is started by root")
    for program in ("postfix", "opendkim", "dovecot"):
        if shutil.which(program) is None:
            lacking(f"{program} is not installed")
    with plain_box(FURTHER) as box:
        signing = SigningBox(box)
        box.set_up("submission")
        listen = f"{box.address}:{SINK}"
        sink = ["smtp-sink", "-u", "postfix", "-d", f"{signing.beyond}/m.", listen, "20"]
        with subprocess.Popen(sink) as beyond:
            try:
                wait_for(lambda: box.listens(SINK), "the server beyond")
                yield signing
            finally:
                beyond.terminate()


def submit(box: PlainBox, message: bytes) -> None:
    """Hand over a message by sendmail, as cron does."""
    words = ["sendmail", "-C", str(box.configuration), "-f", "ann@example.org", "bob@example.net"]
    subprocess.run(words, input=message, check=True, timeout=120)


LETTER = (
    b"From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: gr\xc3\xbc\xc3\x9fe\n\nhi \n.\n"
)


def test_what_leaves_is_signed_and_what_passes_is_not(signing: SigningBox) -> None:
    box = signing.box
    before = box.settings
    signing.mdeliver("--make")
    with served("example.org A 192.0.2.1") as empty:
        refused = signing.mdeliver("--apply", "--resolver", empty, status=78)
        assert "no record is published" in refused.output
    assert box.settings == before
    with signing.published() as dns:
        signing.mdeliver("--apply", "--resolver", dns)
    box.stop()
    box.start()
    with signing.running(), box.dovecot("ann", "secret"):
        _what_users_send_is_signed(signing)
        _what_passes_is_not(signing)
        _bounces_are_signed(signing)
    _another_key_takes_over(signing)

    # Without the milter users' mail waits, and strangers' comes in.
    with Client(25, server=box.address) as stranger:
        assert stranger.try_to_send() == 250
    signing.mdeliver("--revert")
    assert box.settings == before
    assert not signing.configuration.exists()


def _what_users_send_is_signed(signing: SigningBox) -> None:
    box = signing.box
    (name,) = [key.name for key in keys.registered(str(signing.keys))]
    submit(box, LETTER)
    assert signing.signers(signing.next_message()) == [name]

    with smtplib.SMTP(box.address, 587, "laptop", timeout=120) as client:
        client.starttls(context=ssl._create_unverified_context())
        client.login("ann", "secret")
        client.sendmail("ann@example.org", ["bob@example.net"], LETTER)
    assert signing.signers(signing.next_message()) == [name]

    with Client(25, "127.255.255.254", server=box.address) as ours:
        assert ours.try_to_send("ann@example.org", "bob@example.net", message=_smtp(LETTER)) == 250
    assert signing.signers(signing.next_message()) == [name]


def _what_passes_is_not(signing: SigningBox) -> None:
    """A stranger says to be Ann; and what came from elsewhere is forwarded."""
    box = signing.box
    with Client(25, server=box.address) as stranger:
        sent = stranger.try_to_send(
            "eve@example.net", "known@relay.example.org", message=_smtp(LETTER)
        )
        assert sent == 250, box.log
    assert b"DKIM-Signature" not in signing.next_message()
    submit(box, b"Received: from elsewhere by here; today\n" + LETTER)
    assert b"DKIM-Signature" not in signing.next_message()
    # Nor what is from another domain.
    submit(box, LETTER.replace(b"example.org", b"example.com"))
    assert b"DKIM-Signature" not in signing.next_message()


def _bounces_are_signed(signing: SigningBox) -> None:
    (name,) = [key.name for key in keys.registered(str(signing.keys))]
    with Client(25, server=signing.box.address) as stranger:
        assert stranger.try_to_send("eve@example.net", "gone@relay.example.org") == 250
    bounce = signing.next_message()
    assert b"<MAILER-DAEMON@mail.example.org>" in bounce
    assert signing.signers(bounce) == [name]


def _another_key_takes_over(signing: SigningBox) -> None:
    with signing.published() as dns:
        made = signing.mdeliver("--rotate", "--older-than", "0d", "--resolver", dns)
        assert "made; publish its record" in made.output
        waiting = signing.mdeliver("--rotate", "--resolver", dns, status=1)
        assert "no record is published" in waiting.output
    with signing.published() as dns:
        signing.mdeliver("--rotate", "--resolver", dns)
        said = signing.mdeliver("--check", "--json", "--resolver", dns, status=1).stdout
    levels = {x["name"]: x["level"] for x in map(json.loads, said.splitlines())}
    assert [levels[key.name] for key in keys.registered(str(signing.keys))] == ["fine", "fine"]
    assert levels["_dmarc.example.org"] == "failure"  # this name server has the keys alone
    with signing.running():
        submit(signing.box, LETTER)
        first, second = keys.registered(str(signing.keys))
        assert signing.signers(signing.next_message()) == [second.name]
        assert (first.state, second.state) == ("retired", "signing")


def _smtp(message: bytes) -> str:
    """MESSAGE as it is said to a server, up to its last dot."""
    return message.decode().replace("\n.\n", "\n..\n").replace("\n", "\r\n")

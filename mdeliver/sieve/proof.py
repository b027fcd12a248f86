"""Whether rules do the same as the Sieve script they came from: Pigeonhole itself has the word.

Other side  Dovecot's sieve-test(1), which runs the script over a message and says what it would do;
            it stores nothing and sends nothing. It needs a user other than root.
Compared    folders by their names, flags, addresses, an answer, and whether the mail is refused.
See also    procmail/proof.py, which compares in the same way
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from mdeliver.outcome import one_line
from mdeliver.plan import File, Forward, Reply
from mdeliver.procmail.proof import Compared, Deeds, with_from_line
from mdeliver.replay.against import reasons
from mdeliver.replay.rehearsal import Rehearsed
from mdeliver.replay.stores import Arrived

TIMEOUT_S = 30.0

_ACTION = re.compile(r"^ \* (.*)$", re.MULTILINE)
_FLAGS = re.compile(r"\+ add IMAP flags: (.*)")


class Pigeonhole:
    """sieve-test ready to be asked about messages; a context manager, for its own directory."""

    def __init__(self, script: str, user: str, home: str) -> None:
        found = shutil.which("sieve-test")
        if found is None:
            raise FileNotFoundError("it is not installed (Debian: dovecot-sieve)")
        self.program = found
        self.user = user if os.getuid() == 0 and user != "root" else ""
        if os.getuid() == 0 and not self.user:
            self.user = "nobody"
        self.home = home
        self.asks_envelope = bool(re.search(r"\benvelope\b", script, re.IGNORECASE))
        self.directory = tempfile.TemporaryDirectory(prefix="mdeliver-sieve-")
        self.path = Path(self.directory.name)
        (self.path / "home").mkdir()
        (self.path / "script.sieve").write_text(script)
        if self.user:
            for path in (self.path, self.path / "home"):
                shutil.chown(path, self.user)

    def __enter__(self) -> Pigeonhole:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.directory.cleanup()

    def ask(self, octets: bytes, sender: str, recipient: str) -> str:
        """What sieve-test says of the message OCTETS. Raises ValueError with its error."""
        message = self.path / "message"
        message.write_bytes(octets)
        settings = {
            "mail_home": str(self.path / "home"),
            "mail_location": f"maildir:{self.path}/home/Maildir",
            "first_valid_uid": "1",
            "first_valid_gid": "0",
            "sieve_extensions": "+vnd.dovecot.duplicate +editheader +spamtest",
        }
        if self.user:
            settings |= {"mail_uid": self.user, "mail_gid": str(self.path.stat().st_gid)}
        else:
            settings |= {"mail_uid": str(os.getuid()), "mail_gid": str(os.getgid())}
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        addresses = ["-f", sender] if sender else []
        addresses += ["-r", recipient, "-a", recipient] if recipient else []
        done = subprocess.run(
            [self.program, *options, *addresses, str(self.path / "script.sieve"), str(message)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
        if "final result: success" not in done.stdout + done.stderr:
            raise ValueError(one_line((done.stderr or done.stdout).strip()[-300:]))
        return done.stdout


def compare(
    name: str,
    arrived: Arrived,
    pigeonhole: Pigeonhole,
    rehearse: Callable[[Arrived], Rehearsed],
    given_sender: str | None = None,
    given_recipient: str | None = None,
) -> Compared:
    """What becomes of one message on either side.

    given_sender, given_recipient  of the envelope; None for what the message says
    """
    rehearsed = rehearse(arrived)
    ours = of_rules(rehearsed)
    octets = with_from_line(arrived, given_sender)
    sender = octets[5 : octets.find(b" ", 5)].decode("latin-1")
    if sender == "MAILER-DAEMON" and pigeonhole.asks_envelope:
        # Without an address sieve-test takes what the header says.
        why = "sieve-test cannot be told of the null sender, and the script asks the envelope"
        return Compared(one_line(name), Deeds(frozenset(), "deferred", ()), ours, why)
    recipient = given_recipient
    if recipient is None:
        delivered_to = next(iter(rehearsed.message.addresses("delivered-to")), None)
        recipient = delivered_to.text if delivered_to else ""
    try:
        said = pigeonhole.ask(
            octets[octets.find(b"\n") + 1 :],
            "" if sender == "MAILER-DAEMON" else sender,
            recipient,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Compared(one_line(name), Deeds(frozenset(), "deferred", ()), ours, str(error))
    return Compared(one_line(name), of_sieve(said), ours, "")


def of_sieve(said: str) -> Deeds:
    """What sieve-test SAID as deeds."""
    done: set[str] = set()
    fate = "delivered"
    actions = _ACTION.findall(said)
    for action, flags in zip(actions, _flags_of(said), strict=True):
        if found := re.match(r"store message in folder: (.*)", action):
            done.add(f"in {_folder(found[1])}{flags}")
        elif found := re.match(r"redirect message to: <(.*)>", action):
            done.add(f"to {found[1].lower()}")
        elif action.startswith(("send vacation", "vacation")):
            done.add("an answer")
        elif action.startswith("reject"):
            fate = "rejected"
    if fate == "delivered" and not done:
        fate = "discarded"
    return Deeds(frozenset(done), fate, tuple([one_line(action) for action in actions]))


def _flags_of(said: str) -> list[str]:
    """The flags that each action of what sieve-test SAID sets, in words."""
    behind = _ACTION.split(said)[2::2]
    found = [_FLAGS.search(text.partition("\n * ")[0]) for text in behind]
    return [_as_flags(f[1].replace("\\", "").split()) if f else "" for f in found]


def _as_flags(flags: Iterable[str]) -> str:
    return f" as {', '.join(sorted(flags))}" if flags else ""


def _folder(name: str) -> str:
    steps = [step for step in re.split(r"[./]", name) if step.upper() != "INBOX"]
    return "/".join(steps) or "INBOX"


def of_rules(rehearsed: Rehearsed) -> Deeds:
    """What the rules do, by the names of folders."""
    done: set[str] = set()
    for action in rehearsed.decision.plan.actions:
        match action:
            case File(folder=folder, flags=flags):
                done.add(f"in {folder or 'INBOX'}{_as_flags(flags)}")
            case Forward(addresses=addresses):
                done |= {f"to {address.lower()}" for address in addresses}
            case Reply():
                done.add("an answer")
            case _:
                pass
    fate = rehearsed.outcome.fate
    if fate in ("delivered", "discarded"):
        fate = "delivered" if done else "discarded"
    return Deeds(frozenset(done), fate, tuple(reasons(rehearsed.decision)))

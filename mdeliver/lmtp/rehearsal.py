"""A rehearsal: some messages that nobody sent are filed for nobody, before workers are forked.

Why       the interpreter writes into functions what it has learned from their first calls (PEP
          659), and into classes which of their methods were asked for. Each worker would learn it
          anew, in pages that are its own from then on: 0.6 MB for each user, and milliseconds of
          the first messages. What was learned before the fork, all share.
Where     in a directory of its own in memory, which goes again; where there can be none the
          rehearsal is left out, and nothing but those pages is lost
Reads     what is written here, no rules and no mail of anybody's
Leaves    no file, descriptor, alarm or changed environment behind; but the directory, where the
          process is killed in the midst of it
Fails with  nothing: an OSError ends the rehearsal, and the server starts all the same
See also  cli/lmtp.py, which alone has a use for it; prepare.py, worker.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from mdeliver.lmtp import frames
from mdeliver.lmtp.jobs import Job, pack_job
from mdeliver.lmtp.settings import Lmtp
from mdeliver.lmtp.worker import Identity, Worker
from mdeliver.settings import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.letter import Letter
    from mdeliver.lmtp.rounds import Brought

_IN_MEMORY = "/dev/shm"
_WORKERS = 4
_AT_ONCE = (1, 1, 2)
"""Messages of a worker's rounds: one is delivered in another way than several. The interpreter
begins to learn of a function when it is called for the eighth time."""
_LONG_AGO_S = 10**9
"""Rules that were changed just now are not kept."""

_RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
if subject contains "one thing" or subject contains "another":
    file to imap/Things
if from is "somebody@example.org":
    file to imap/Somebody
"""
_MESSAGE = b"""\
Received: from mail.example.net (mail.example.net [192.0.2.1])
\tby mx.example.org (Postfix) with ESMTP id 4ABC
\tfor <rehearsal@example.org>; Mon, 2 Nov 2026 10:00:00 +0000 (UTC)
From: <sender@example.net>
To: <rehearsal@example.org>
Subject: =?utf-8?q?rehearsal?=
Message-ID: <%d@example.net>

Nobody reads this.
"""


class _Rehearsing(Worker):
    """A worker that follows the rules above, whatever others there are."""

    def bring(self, job: Job, letter: Letter) -> Brought:
        """JOB's LETTER for a round."""
        return super().bring(job, letter).replace(rules=_rules_in(job.home))


def rehearse() -> None:
    """Deliver some messages as workers do, in the process that they will be forked from."""
    with suppress(OSError):
        home = tempfile.mkdtemp(prefix="mdeliver-", dir=_IN_MEMORY)
        try:
            rules = Path(_rules_in(home))
            rules.write_text(_RULES, encoding="utf-8")
            rules.chmod(0o600)
            os.utime(rules, (_LONG_AGO_S, _LONG_AGO_S))
            for worker in range(_WORKERS):
                _work(home, 100 * worker)
        finally:
            shutil.rmtree(home)


def _rules_in(home: str) -> str:
    return f"{home}/rules"


def _work(home: str, number: int) -> None:
    """All that one worker does, with messages numbered from NUMBER on. Raises OSError."""
    identity = Identity("rehearsal", os.geteuid(), os.getegid(), home, "rehearsal")
    masters, control = frames.pair()
    front, channel = frames.pair()
    worker = _Rehearsing(identity, Lmtp(), Site(syslog=""), control)
    try:
        with masters, front:
            with channel:
                frames.send(masters, frames.pack(frames.FRONT), channel.fileno())
            worker.turn()
            for messages in _AT_ONCE:
                for _ in range(messages):
                    number += 1
                    frames.send(front, pack_job(_job(home, number)))
                worker.turn()
    finally:
        # It lets go of all that it has open: workers will have something else by those numbers.
        while worker.turn():
            pass


def _job(home: str, number: int) -> Job:
    octets = _MESSAGE % number
    return Job(
        number=number,
        home=home,
        sender="sender@example.net",
        recipient="rehearsal@example.org",
        original="",
        extension="",
        queue_id="4ABC",
        client_address="192.0.2.1",
        client_hostname="mail.example.net",
        client_helo="mail.example.net",
        client_protocol="ESMTP",
        digest=number.to_bytes(16),
        size=len(octets),
        octets=octets,
    )

"""Messages a second through a real Postfix, until its queue is empty: one user, and fifty.

Ways       mailbox_transport to mdeliver's LMTP server and to dovecot-lmtp; mailbox_command
           mdeliver-lda (with a server behind it) and procmail
Floor      discard(8): what Postfix and its queue take by themselves
Postfix    a private one, with the concurrency that it has by default: 2 for one user
Order      the ways take turns in each round; the table has medians, and ratios to procmail and
           to dovecot-lmtp
Places     mbox and Maildir, but for Dovecot, which cannot: a Maildir
Counted    from the first message that smtp-source brings to the last that leaves the queue
The marks  LMTP x dovecot-lmtp 1.5, x procmail 3.5; the launcher x procmail 2.5
Needs      root, postfix, and procmail or dovecot-lmtpd; makes users, and removes them

    python -m benchmarks.postfix [--messages N] [--rounds N] [--users N,N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import lmtp
from benchmarks.ground import fresh_directory
from benchmarks.marks import Mark
from tests.lmtpserver import Server
from tests.local8 import Person
from tests.servers.people import add_person, remove_person, write_rules
from tests.servers.postfix import Postfix

RULES = 'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'
PROCMAILRC = ":0 c:\n$HOME/mbox\n\n:0\n$HOME/Maildir/\n"
COMMON = (
    "sender_bcc_maps =",
    "local_destination_concurrency_limit = 2",
    "lmtp_send_xforward_command = yes",
)
LOOK_S = 0.005
LMTP, LAUNCHER, PROCMAIL, DOVECOT, NOBODY = (
    "mdeliver, LMTP", "mdeliver-lda, server", "procmail", "dovecot-lmtp", "Postfix alone",
)  # fmt: skip
MARKS = {
    (LMTP, DOVECOT): Mark(1.5, 2),
    (LMTP, PROCMAIL): Mark(3.5, 5),
    (LAUNCHER, PROCMAIL): Mark(2.5, 3.5),
}


class Ways:
    """The servers behind Postfix, and what main.cf says for each way."""

    def __init__(self, top: Path, stack: ExitStack) -> None:
        (top / "mdeliver").mkdir()
        server = Server(top / "mdeliver", users="system", socket_user="postfix")
        stack.callback(server.stop)
        server.start()
        lda = Path(sys.prefix) / "bin" / "mdeliver-lda"
        (top / "procmailrc").write_text(PROCMAILRC)
        command = "mailbox_command"
        self.settings = {
            LMTP: f"mailbox_transport = lmtp:unix:{server.path}",
            LAUNCHER: f"{command} = {lda} --server {server.door}",
        }
        if shutil.which("procmail"):
            self.settings[PROCMAIL] = f"{command} = /usr/bin/procmail -m {top}/procmailrc"
        if lmtp.DOVECOT.exists() and Path("/usr/lib/dovecot/lmtp").exists():
            dovecot = lmtp.Dovecot(top / "dovecot", 0, False)
            stack.callback(dovecot.stop)
            dovecot.start()
            self.settings[DOVECOT] = f"mailbox_transport = lmtp:unix:{dovecot.socket}"
        self.settings[NOBODY] = "mailbox_transport = discard:"


@contextmanager
def people(top: Path, count: int) -> Iterator[list[Person]]:
    """COUNT local users with homes below TOP."""
    homes = top / "homes"
    homes.mkdir(mode=0o755)
    made: list[Person] = []
    try:
        for number in range(count):
            made.append(add_person(f"u{number}", homes))
            write_rules(made[-1], RULES)
        yield made
    finally:
        for person in made:
            remove_person(person)


def use(postfix: Postfix, main_cf: str, setting: str, *, reload: bool = True) -> None:
    """Go another way from now on: MAIN_CF, which was there in the beginning, and SETTING.

    A reload, since a stop waits for every agent that is still at work.
    """
    lines = [main_cf.rstrip("\n"), *COMMON, setting, ""]
    (postfix.configuration / "main.cf").write_text("\n".join(lines))
    if reload:
        postfix.run("postfix", "reload")


def end(postfix: Postfix) -> None:
    """Stop it, by force if it takes too long: on a busy machine its processes wait for its log."""
    pid = int((postfix.top / "queue" / "pid" / "master.pid").read_text())
    try:
        postfix.stop()
    except (subprocess.TimeoutExpired, AssertionError):
        os.killpg(pid, signal.SIGKILL)


def rate(postfix: Postfix, users: list[Person], messages: int) -> float:
    """Bring MESSAGES, each user's share; how many left the queue in a second."""
    start = time.perf_counter()
    each = messages // len(users)
    for user in users:
        command = ["smtp-source", "-s", "4", "-m", str(each), "-l", "4096"]
        command += ["-f", "sender@example.net", "-t", f"{user.name}@example.org"]
        subprocess.run([*command, f"inet:127.0.0.1:{postfix.outside}"], check=True, timeout=600)
    while in_queue(postfix):
        time.sleep(LOOK_S)  # Postfix tells nobody that its queue is empty
    return each * len(users) / (time.perf_counter() - start)


def in_queue(postfix: Postfix) -> bool:
    """Whether there is any message on its way; raises RuntimeError where one was deferred."""
    queue = postfix.top / "queue"
    if any(files for _directory, _names, files in os.walk(queue / "deferred")):
        raise RuntimeError("Postfix has deferred a message")
    return any(f for name in ("incoming", "active") for _d, _n, f in os.walk(queue / name))


def main() -> None:
    parser = argparse.ArgumentParser(description="throughput through Postfix")
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", default="1,50", help="numbers of users")
    parser.add_argument(
        "--ways", default="", help="only ways whose name contains one of these words"
    )
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix")
    counts = [int(count) for count in given.users.split(",")]
    # An end that comes early must leave no users and servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    top = fresh_directory()
    top.chmod(0o755)
    try:
        with ExitStack() as stack:
            users = stack.enter_context(people(top, max(counts)))
            ways = Ways(top, stack)
            words = given.ways.split(",")
            chosen = {
                way: setting
                for way, setting in ways.settings.items()
                if any(word in way for word in words)
            }
            (top / "postfix").mkdir()
            postfix = Postfix(top / "postfix", [], "/bin/false")
            main_cf = (postfix.configuration / "main.cf").read_text()
            # Under load its log daemon waits for itself; without a syslog nothing is written.
            main_cf = main_cf.replace("maillog_file =", "maillog_file =\n#")
            use(postfix, main_cf, "mailbox_command = /bin/false", reload=False)
            postfix.start()
            stack.callback(end, postfix)
            print(f"{'users':>6} {'way':24}{'per s':>8}{'x procmail':>12}{'x dovecot':>12}")
            for count in counts:
                rates: dict[str, list[float]] = {way: [] for way in chosen}
                for _round in range(given.rounds):
                    for way, setting in chosen.items():
                        use(postfix, main_cf, setting)
                        rates[way].append(rate(postfix, users[:count], given.messages))
                show(count, {way: statistics.median(found) for way, found in rates.items()})
    finally:
        shutil.rmtree(top, ignore_errors=True)


def show(count: int, rates: dict[str, float]) -> None:
    """Print the lines of one number of users."""
    for way, found in rates.items():
        ratios = [
            f"{found / rates[other]:.2f}" if other in rates else "-"
            for other in (PROCMAIL, DOVECOT)
        ]
        print(f"{count:>6} {way:24}{found:>8.0f}{ratios[0]:>12}{ratios[1]:>12}", flush=True)
    for (ours, other), mark in MARKS.items():
        if ours in rates and other in rates:
            name = f"{ours}, {count} users, x {other}"
            print(mark.words(name, rates[ours] / rates[other]), flush=True)


if __name__ == "__main__":
    main()

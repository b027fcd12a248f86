"""One message, one process: what a delivery costs, beside the agents that one could run instead.

Measures   from standard input to an mbox and a Maildir, for each size of message and number of
           rules; CPU (user + system, of the process and its children, from wait4) and wall time.
User       nobody where it is started as root: no agent delivers as root.
Fair       every agent takes its turn in each round of one run, so that a drifting machine slows
           all alike; files are made anew in a directory of their own and removed only at the end.
           Medians are shown, and ratios to bare `python3 -I -S -c pass`; minima too, which a busy
           machine disturbs less.
The mark   3 rules at 4 KB: "mdeliver deliver" on its direct path takes no more than MARK times the
           CPU of the bare interpreter. Said at the end, where that case was measured.
Settled    rules that are two seconds old are kept compiled (rulescache.py), as they are in any but
           the first delivery after a change; so measuring begins when they are.
Rules      N times "if the subject contains …", none of which holds, then both places.
Checked    after the run each agent must have filed as many messages as it was given.
Peers      that are not installed are named and left out. dovecot-lda files into a Maildir only.

    python -m benchmarks.direct [--rounds N] [--cases small] [--markdown] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.ground import fresh_directory
from mdeliver.__main__ import AGENT_DONE

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.prefix) / "bin"
BARE = "python3 -I -S -c pass"
DIRECT = "mdeliver deliver"
MARK = 2.0
SETTLED_S = 2.5

PEERS = {
    "procmail": "/usr/bin/procmail",
    "maildrop": "/usr/bin/maildrop",
    "fdm": "/usr/bin/fdm",
    "dovecot-lda": "/usr/lib/dovecot/dovecot-lda",
}
"""What mdeliver is compared with, and where Debian has it."""


class Case(NamedTuple):
    """One workload: size of the message in bytes, number of rules, how many rounds at most."""

    name: str
    size: int
    rules: int
    rounds: int


CASES = (
    Case("4 KB, 3 rules", 4 << 10, 3, 1000),
    Case("4 KB, 100 rules", 4 << 10, 100, 1000),
    Case("50 KB, 3 rules", 50 << 10, 3, 1000),
    Case("50 KB, 100 rules", 50 << 10, 100, 1000),
    Case("10 MB, 3 rules", 10 << 20, 3, 7),
)
MARKED = CASES[0].name


class Command(NamedTuple):
    """What is started, how many messages it is known to have filed, and its status for done."""

    arguments: list[str]
    environment: dict[str, str]
    filed: Callable[[], int]
    done: int = 0


class Cost(NamedTuple):
    """Seconds: of one run, or of many in the middle, with the least CPU of any."""

    cpu_s: float
    wall_s: float
    least_cpu_s: float = 0.0


def message(size: int, number: int = 1) -> bytes:
    """A message of SIZE bytes as local(8) hands it over; NUMBER tells it from others.

    What came before is not delivered again.
    """
    head = (
        b"From sender@example.net  Mon Nov 23 10:00:00 2026\n"
        b"Return-Path: <sender@example.net>\nX-Original-To: ann@example.org\n"
        b"Delivered-To: ann@example.org\n"
        b"Received: from client.example.net (client.example.net [192.0.2.7])\n"
        b"\tby mx.example.org (Postfix) with ESMTPS id 4XyZ\n"
        b"\tfor <ann@example.org>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)\n"
        b"From: Bob <sender@example.net>\nTo: ann@example.org\nSubject: Re: the report\n"
        b"Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <%d@example.net>\n\n" % number
    )
    line = b"All work and no play makes a dull letter, said the postman to the dog.\n"
    return (head + line * (size // len(line) + 1))[: size - 1] + b"\n"


# --- the agents ------------------------------------------------------------------------------


def words(count: int) -> list[str]:
    """Words that no subject contains."""
    return [f"no-such-word-{n}" for n in range(count)]


def new_messages(maildir: Path) -> int:
    """Messages that were filed into MAILDIR."""
    return len(list((maildir / "new").iterdir())) if (maildir / "new").is_dir() else 0


def both(home: Path) -> Callable[[], int]:
    """Counts what arrived in both places; -1 where they differ."""

    def count() -> int:
        # No line of the body begins with "From ", and agents differ in what they write after it.
        mbox = sum(line.startswith(b"From ") for line in (home / "mbox").open("rb"))
        return mbox if mbox == new_messages(home / "Maildir") else -1

    return count


def make_maildir(maildir: Path) -> None:
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True, mode=0o700)
    maildir.chmod(0o700)


def private(path: Path, text: str) -> str:
    """Write TEXT into the new file PATH, which nobody else may read; the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def environment(home: Path) -> dict[str, str]:
    """What local(8) exports."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/sh",
        "SENDER": "sender@example.net",
        "RECIPIENT": f"{user}@example.org",
        "ORIGINAL_RECIPIENT": f"{user}@example.org",
        "LOCAL": user,
        "DOMAIN": "example.org",
    }


def mdeliver_rules(home: Path, rules: int) -> None:
    text = ['mailbox imap = maildir "~/Maildir"', 'mailbox pop3 = mbox "~/mbox"']
    text.append("inbox = imap, pop3")
    for word in words(rules):
        text.append(f'if subject contains "{word}":\n    file to imap/Matched')
    private(home / ".config" / "mdeliver" / "rules", "\n".join(text) + "\n")


def launched(home: Path, rules: int) -> Command:
    """What mailbox_command names."""
    mdeliver_rules(home, rules)
    return Command([str(BIN / "mdeliver-lda")], environment(home), both(home))


def direct(home: Path, rules: int) -> Command:
    """The very process that the launcher starts, without the launcher."""
    mdeliver_rules(home, rules)
    bootstrap = (ROOT / "launcher" / "bootstrap.py").read_text()
    arguments = [str(BIN / "python3"), "-I", "-S", "-c", bootstrap, sys.prefix, "deliver"]
    return Command(arguments, environment(home), both(home), AGENT_DONE)


def procmail(home: Path, rules: int) -> Command:
    text = [f"LOGFILE=/dev/null\nDEFAULT={home}/default\n"]
    for word in words(rules):
        text.append(f":0\n* ^Subject:.*{word}\n{home}/matched/\n")
    text.append(f":0 c:\n{home}/mbox\n\n:0\n{home}/Maildir/\n")
    rc = private(home / "procmailrc", "\n".join(text))
    return Command([PEERS["procmail"], "-m", rc], environment(home), both(home))


def maildrop(home: Path, rules: int) -> Command:
    make_maildir(home / "Maildir")
    text = []
    for word in words(rules):
        text.append(f'if (/^Subject:.*{word}/)\n{{\nto "{home}/matched"\n}}')
    text.append(f'cc "{home}/mbox"\nto "{home}/Maildir"\n')
    rc = private(home / "mailfilter", "\n".join(text))
    return Command([PEERS["maildrop"], rc], environment(home), both(home))


def fdm(home: Path, rules: int) -> Command:
    make_maildir(home / "Maildir")
    text = ['account "stdin" disabled stdin']
    for name, kind in (("matched", "maildir"), ("Maildir", "maildir"), ("mbox", "mbox")):
        text.append(f'action "{name}" {kind} "{home}/{name}"')
    for word in words(rules):
        text.append(f'match "^Subject:.*{word}" in headers action "matched"')
    text.append('match all actions { "mbox" "Maildir" }\n')
    conf = private(home / "fdm.conf", "\n".join(text))
    arguments = [PEERS["fdm"], "-q", "-a", "stdin", "-f", conf, "-m", "fetch"]
    return Command(arguments, environment(home), both(home))


def dovecot_lda(home: Path, rules: int) -> Command:
    sieve = ['require ["fileinto"];']
    for word in words(rules):
        sieve.append(f'if header :contains "subject" "{word}" {{ fileinto "matched"; }}')
    private(home / "rules.sieve", "\n".join(sieve) + "\n")
    with_sieve = Path("/usr/lib/dovecot/modules/lib90_sieve_plugin.so").exists()
    conf = private(
        home / "dovecot.conf",
        f"mail_location = maildir:{home}/Maildir\nlog_path = /dev/null\nssl = no\n"
        f"base_dir = {home}/run\nstate_dir = {home}/run\nhostname = mx.example.org\n"
        + (f"plugin {{\n sieve = {home}/rules.sieve\n}}\n" if with_sieve else "")
        + ("protocol lda {\n mail_plugins = sieve\n}\n" if with_sieve else ""),
    )
    arguments = [PEERS["dovecot-lda"], "-c", conf]
    return Command(arguments, environment(home), lambda: new_messages(home / "Maildir"))


AGENTS: dict[str, Callable[[Path, int], Command]] = {
    "mdeliver-lda": launched,
    DIRECT: direct,
    "procmail": procmail,
    "maildrop": maildrop,
    "fdm": fdm,
    "dovecot-lda": dovecot_lda,
}


def present() -> Iterable[str]:
    """The agents that can be measured here; says which cannot."""
    for name in AGENTS:
        program = PEERS.get(name) or str(BIN / "mdeliver-lda")
        if os.access(program, os.X_OK):
            yield name
        else:
            print(f"{name} is missing here ({program}) and left out", file=sys.stderr)


# --- measuring -------------------------------------------------------------------------------


def run(command: Command, letter: Path) -> Cost:
    """One process with LETTER as its standard input.

    Raises RuntimeError where it does not end with its status for done.
    """
    actions: list[tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, str(letter), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ]
    start = time.perf_counter()
    child = os.posix_spawn(
        command.arguments[0],
        command.arguments,
        command.environment,
        file_actions=actions,
        setsigdef=[signal.SIGPIPE],
    )
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != command.done:
        raise RuntimeError(f"{command.arguments[0]} ended with wait status {status:#x}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s)


def measure(case: Case, agents: Iterable[str], rounds: int, top: Path) -> dict[str, Cost]:
    """Median costs of every agent for CASE; the bare interpreter is one of them."""
    letter = top / "letter"
    bare = Command([str(BIN / "python3"), "-I", "-S", "-c", "pass"], {}, lambda: total)
    commands = {BARE: bare}
    for name in agents:
        home = top / f"{case.name} {name}".replace(" ", "-")
        home.mkdir()
        commands[name] = AGENTS[name](home, case.rules)
    counted = min(rounds, case.rounds)
    total = counted + 2
    # Rules that were changed just now are not kept compiled: no event says when they are.
    time.sleep(SETTLED_S)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(total):
        letter.write_bytes(message(case.size, number))
        for name, command in commands.items():
            costs[name].append(run(command, letter))
    for name, command in commands.items():
        if command.filed() != total:
            raise RuntimeError(f"{name}: filed {command.filed()} of {total} messages")
    return {
        name: Cost(
            statistics.median(c.cpu_s for c in runs[-counted:]),
            statistics.median(c.wall_s for c in runs[-counted:]),
            min(c.cpu_s for c in runs[-counted:]),
        )
        for name, runs in costs.items()
    }


# --- showing ---------------------------------------------------------------------------------


def show(case: Case, costs: dict[str, Cost], markdown: bool) -> None:
    """Print one case's table; ratios are to the bare interpreter."""
    bare = costs[BARE]
    rows = [
        (
            name,
            f"{1000 * cost.cpu_s:.2f}",
            f"{cost.cpu_s / bare.cpu_s:.2f}",
            f"{1000 * cost.least_cpu_s:.2f}",
            f"{cost.least_cpu_s / bare.least_cpu_s:.2f}",
            f"{1000 * cost.wall_s:.2f}",
            f"{cost.wall_s / bare.wall_s:.2f}",
        )
        for name, cost in costs.items()
    ]
    header = (case.name, "CPU ms", "x bare", "least", "x bare", "wall ms", "x bare")
    if markdown:
        print(f"\n| {' | '.join(header)} |\n|---{'|---:' * (len(header) - 1)}|")
        for row in rows:
            print(f"| {' | '.join(row)} |")
        return
    print()
    for row in (header, *rows):
        print(f"{row[0]:24}" + "".join(f"{cell:>10}" for cell in row[1:]))


def show_mark(costs: dict[str, Cost]) -> None:
    """Print how far the direct path is from its mark."""
    if DIRECT in costs:
        bare, ours = costs[BARE], costs[DIRECT]
        ratio, least = ours.cpu_s / bare.cpu_s, ours.least_cpu_s / bare.least_cpu_s
        kept = "kept" if ratio <= MARK else "MISSED"
        print(f"\nMark {kept}: {MARKED}, {DIRECT} takes {ratio:.2f} times the CPU of {BARE}")
        print(f"(least against least {least:.2f}); the mark is {MARK}.")


def step_down(top: Path) -> None:
    """Become nobody where we are root: agents do other things for root than for a user."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(top, nobody.pw_uid, nobody.pw_gid)
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def main() -> None:
    parser = argparse.ArgumentParser(description="cost of one delivery beside other agents")
    parser.add_argument("--rounds", type=int, default=40, help="counted rounds of each case")
    parser.add_argument("--cases", default="", help="only cases whose name contains this text")
    parser.add_argument("--agents", default="", help="only these, separated by commas")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", type=Path, help="also write medians in seconds to this file")
    parser.add_argument("--directory", type=Path, help="where the mailboxes are made")
    given = parser.parse_args()
    agents = [a for a in present() if not given.agents or a in given.agents.split(",")]
    top = fresh_directory(given.directory)
    results: dict[str, dict[str, Cost]] = {}
    report = given.json.open("w") if given.json else None
    step_down(top)
    try:
        for case in CASES:
            if given.cases in case.name:
                costs = measure(case, agents, given.rounds, top)
                show(case, costs, given.markdown)
                results[case.name] = costs
    finally:
        shutil.rmtree(top, ignore_errors=True)  # its own entry may be in a directory of root's
    if MARKED in results:
        show_mark(results[MARKED])
    if report:
        with report:
            named = {
                case: {name: cost._asdict() for name, cost in costs.items()}
                for case, costs in results.items()
            }
            json.dump(named, report, indent=2)


if __name__ == "__main__":
    main()

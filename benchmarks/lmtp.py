"""Deliveries a second over LMTP: mdeliver beside dovecot-lmtp with Sieve, in one run.

Load       Postfix's smtp-source over a UNIX socket, connections kept, 4 KB messages
Order      rounds of each case go through the servers in turn, so that a drifting machine slows both
           alike; medians are shown, and ratios
Places     Maildir only, as Dovecot has it; "dual" is a Maildir and an mbox for mdeliver, and for
           Dovecot, which cannot, the Maildir still
CPU        of all processes of the server, children that have ended included, for one delivery
Memory     proportional (Pss) of all processes at the end of a case
The marks  in CASES and below, conservative and aimed at, x dovecot-lmtp
Rules      N times a subject that no message has, in both languages
Checked    after the run each server must have filed as many messages as it was given
Needs      root, smtp-source (postfix), dovecot-lmtpd, dovecot-sieve; what is missing is left out

    python -m benchmarks.lmtp [--messages N] [--rounds N] [--cases TEXT] [--rules N] [--markdown]
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.ground import fresh_directory
from benchmarks.marks import Mark

BIN = Path(sys.prefix) / "bin"
DOVECOT = Path("/usr/sbin/dovecot")
SETTLED_S = 3.0
TICKS = os.sysconf("SC_CLK_TCK")


class Case(NamedTuple):
    """One load: so many sessions at once, recipients of each message; where it is filed."""

    name: str
    sessions: int
    recipients: int
    dual: bool
    rate: Mark | None = None


CASES = (
    Case("1 session", 1, 1, False, Mark(2.5, 4)),
    Case("4 sessions", 4, 1, False, Mark(2, 3)),
    Case("16 sessions", 16, 1, False, Mark(2.5, 4.5)),
    Case("16 sessions x 10 recipients", 16, 10, False, Mark(2, 5)),
    Case("1 session, dual", 1, 1, True, Mark(1.5, 3)),
    Case("16 sessions, dual", 16, 1, True, Mark(1.5, 3)),
)
CPU = Mark(0.5, 0.25)
MEMORY_MB = Mark(40, 25)
"""Of 16 sessions with one recipient; memory.py has what each further user adds."""


class Cost(NamedTuple):
    """Deliveries a second, CPU ms of one delivery, MB at the end."""

    rate: float
    cpu_ms: float
    memory_mb: float


class Server:
    """A server under test; `socket` is where it listens, its homes are below `top`."""

    name = ""

    def __init__(self, top: Path, rules: int, dual: bool, users: int = 10) -> None:
        """USERS beside the one who is called user; smtp-source -r makes their names."""
        self.top = top
        self.rules = [f"no-such-word-{n}" for n in range(rules)]
        self.dual = dual
        self.socket = top / "lmtp"
        self.owner = pwd.getpwnam("nobody")
        self.users = ["user", *[f"{n}user" for n in range(1, users + 1)]]
        self.process: subprocess.Popen[bytes] | None = None
        top.mkdir(mode=0o755)
        homes = [self.home(user) for user in self.users]
        for path in (top / "homes", *homes):
            path.mkdir()
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def home(self, user: str) -> Path:
        return self.top / "homes" / user

    def private(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for made in (path.parent.parent, path.parent, path):
            os.chown(made, self.owner.pw_uid, self.owner.pw_gid)
        path.chmod(0o600)
        return path

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.top / "output").open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, start_new_session=True
            )
        end = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as asked:
                if asked.connect_ex(str(self.socket)) == 0:
                    return
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name}: {(self.top / 'output').read_text()}")
            # Dovecot tells nobody when its socket is there.
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def processes(self) -> list[int]:
        """Pids of the server and all below it."""
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            except OSError:
                continue
            found += [int(child) for child in children.split()]
        return found

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in self.processes())

    def memory_mb(self) -> float:
        return memory_mb(self.processes())

    def filed(self) -> int:
        """Messages in all Maildirs; with mboxes, -1 where they hold another number."""
        count = 0
        for user in self.users:
            in_maildir = len(list((self.home(user) / "Maildir").glob("new/*")))
            count += in_maildir
            mbox = self.home(user) / "mbox"
            if self.dual and mbox.exists():
                with mbox.open("rb") as lines:
                    if sum(line.startswith(b"From ") for line in lines) != in_maildir:
                        return -1
        return count


class Mdeliver(Server):
    name = "mdeliver"

    def command(self) -> list[str]:
        places = "imap, pop3" if self.dual else "imap"
        text = ['mailbox imap = maildir "~/Maildir"', 'mailbox pop3 = mbox "~/mbox"']
        text.append(f"inbox = {places}")
        text += [f'if subject contains "{w}":\n    file to imap/Matched' for w in self.rules]
        for user in self.users:
            self.private(self.home(user) / ".config" / "mdeliver" / "rules", "\n".join(text) + "\n")
        (self.top / "users").write_text("".join(f"{u}@example.org {u}\n" for u in self.users))
        (self.top / "mdeliver.toml").write_text(
            f'[lmtp]\nlisten = ["unix:{self.socket}"]\nlauncher = ""\nsocket_user = ""\n'
            f'users = "virtual"\nvirtual_user = "nobody"\nvirtual_users = ["{self.top}/users"]\n'
            f'virtual_homes = "{self.top}/homes"\n'
        )
        return [str(BIN / "mdeliver"), "lmtp", "--settings", str(self.top / "mdeliver.toml")]


class Dovecot(Server):
    name = "dovecot-lmtp"

    def command(self) -> list[str]:
        sieve = ['require ["fileinto"];']
        sieve += [
            f'if header :contains "subject" "{w}" {{ fileinto "Matched"; }}' for w in self.rules
        ]
        script = self.private(self.top / "sieve" / "rules.sieve", "\n".join(sieve) + "\n")
        subprocess.run(["sievec", str(script)], check=True, capture_output=True)
        (self.top / "sieve" / "rules.svbin").chmod(0o644)
        conf = self.top / "dovecot.conf"
        conf.write_text(
            f"base_dir = {self.top}/run\nstate_dir = {self.top}/run\nlog_path = {self.top}/log\n"
            "protocols = lmtp\nssl = no\nfirst_valid_uid = 1\nmail_fsync = optimized\n"
            "auth_username_format = %n\nmail_location = maildir:~/Maildir\n"
            "userdb {\n driver = static\n"
            f" args = uid=nobody gid=nogroup home={self.top}/homes/%n allow_all_users=yes\n}}\n"
            "passdb {\n driver = static\n args = nopassword=y\n}\n"
            f"service lmtp {{\n unix_listener {self.socket} {{\n  mode = 0666\n }}\n}}\n"
            "protocol lmtp {\n mail_plugins = sieve\n}\n"
            f"plugin {{\n sieve = file:{script}\n}}\n"
        )
        return [str(DOVECOT), "-F", "-c", str(conf)]


def memory_mb(pids: Iterable[int]) -> float:
    """What the processes PIDS have in memory, what they share counted once."""
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def cpu_s(pid: int) -> float:
    """Seconds that a process and its children that have ended used so far; 0 of none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def load(server: Server, case: Case, messages: int) -> Cost:
    """Bring MESSAGES; the cost of one delivery."""
    deliveries = messages * case.recipients
    command = ["smtp-source", "-L", "-d", "-s", str(case.sessions), "-m", str(messages)]
    command += ["-l", "4096", "-f", "sender@example.net", "-t", "user@example.org"]
    if case.recipients > 1:
        command += ["-r", str(case.recipients)]
    before, start = server.cpu_s(), time.perf_counter()
    subprocess.run([*command, f"unix:{server.socket}"], check=True, timeout=600)
    wall_s = time.perf_counter() - start
    return Cost(
        deliveries / wall_s, 1000 * (server.cpu_s() - before) / deliveries, server.memory_mb()
    )


def measure(case: Case, messages: int, rounds: int, rules: int, top: Path) -> dict[str, Cost]:
    """Median costs of CASE for each server that can do it."""
    kinds: list[type[Server]] = [Mdeliver]
    if DOVECOT.exists() and Path("/usr/lib/dovecot/lmtp").exists():
        kinds.append(Dovecot)
    servers = [kind(top / kind.name, rules, case.dual and kind is Mdeliver) for kind in kinds]
    costs: dict[str, list[Cost]] = {server.name: [] for server in servers}
    try:
        for server in servers:
            server.start()
        # Rules that were changed just now are not kept compiled: no event says when they are.
        time.sleep(SETTLED_S)
        for server in servers:
            load(server, case, max(1, messages // 10))
        for _ in range(rounds):
            for server in servers:
                costs[server.name].append(load(server, case, messages))
        expected = (max(1, messages // 10) + messages * rounds) * case.recipients
        for server in servers:
            if server.filed() != expected:
                raise RuntimeError(f"{server.name}: filed {server.filed()} of {expected}")
    finally:
        for server in servers:
            server.stop()
    return {
        name: Cost(*[statistics.median(column) for column in zip(*found, strict=True)])
        for name, found in costs.items()
    }


def show(case: Case, costs: dict[str, Cost], markdown: bool) -> None:
    """Print one case."""
    theirs = costs.get(Dovecot.name)
    for name, cost in costs.items():
        ratio = f"{cost.rate / theirs.rate:.2f}" if theirs else "-"
        cpu = f"{cost.cpu_ms / theirs.cpu_ms:.2f}" if theirs else "-"
        row: tuple[str, ...] = (
            case.name,
            name,
            f"{cost.rate:.0f}",
            ratio,
            f"{cost.cpu_ms:.2f}",
            cpu,
        )
        row += (f"{cost.memory_mb:.0f}",)
        if markdown:
            print(f"| {' | '.join(row)} |")
        else:
            print(f"{row[0]:30}{row[1]:14}" + "".join(f"{cell:>10}" for cell in row[2:]))
    ours = costs[Mdeliver.name]
    lines = []
    if theirs and case.rate is not None:
        lines.append(case.rate.words("x dovecot-lmtp", ours.rate / theirs.rate))
        lines.append(CPU.words("CPU x dovecot-lmtp", ours.cpu_ms / theirs.cpu_ms))
    if (case.sessions, case.recipients) == (16, 1):
        lines.append(MEMORY_MB.words("MB", ours.memory_mb))
    # Beside a table of Markdown they would be in it.
    print("\n".join(lines), file=sys.stderr if markdown else sys.stdout, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="LMTP servers side by side")
    parser.add_argument("--messages", type=int, default=1000, help="messages of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=int, default=3)
    parser.add_argument("--cases", default="", help="only cases whose name contains this text")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix's smtp-source")
    top = fresh_directory()
    top.chmod(0o755)
    header = ("case", "server", "per s", "x dovecot", "CPU ms", "x dovecot", "MB")
    if given.markdown:
        print(f"| {' | '.join(header)} |\n|---|---{'|---:' * (len(header) - 2)}|")
    else:
        print(f"{header[0]:30}{header[1]:14}" + "".join(f"{cell:>10}" for cell in header[2:]))
    try:
        for number, case in enumerate(CASES):
            if given.cases in case.name:
                messages = max(10, given.messages // case.recipients)
                # Each has ground of its own: nothing is removed before all is measured (ground.py).
                (top / str(number)).mkdir(mode=0o755)
                costs = measure(case, messages, given.rounds, given.rules, top / str(number))
                show(case, costs, given.markdown)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()

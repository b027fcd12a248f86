"""mdeliver-lda with a running server beside the agents it replaces: wall time of one delivery.

Measures   from exec to exit, an mbox and a Maildir, for each size of message and number of rules;
           and the CPU of the launcher with that of the server, worker and all, per delivery.
Memory     the most that an agent's process had (GNU time); of the server what all its processes
           have at the end, what they share counted once
Durable    mdeliver syncs both copies, its journal and the Maildir's directory before it says
           success; procmail, maildrop and fdm sync the copies alone, as strace shows. The table
           says what that costs none the less.
Floor      what the disk alone asks for that, in C (floor.c): none that syncs as much can be quicker
User       nobody where it is started as root; the server is that user's own.
Fair       as in direct.py, whose agents and messages these are.
The marks  x procmail's wall time: 4 KB with 3 rules 0.7, with 100 rules 0.5, 10 MB 0.45; what is
           aimed at, 0.5, 0.35 and 0.3.

The group  --memory 96 has all of it done in a group with so many MiB (memorygroup.py): what the
           mark of 10 MB was set for.

    python -m benchmarks.launcher [--rounds N] [--cases small] [--memory MIB] [--markdown]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import direct, lmtp, memorygroup
from benchmarks.ground import fresh_directory
from benchmarks.marks import Mark

SERVED = "mdeliver-lda, server"
ALONE = "mdeliver-lda"
ORACLE = "procmail"
FLOOR = "C, writes and syncs"
GNU_TIME = "/usr/bin/time"
MARKS = {
    "4 KB, 3 rules": Mark(0.7, 0.5),
    "4 KB, 100 rules": Mark(0.5, 0.35),
    "10 MB, 3 rules": Mark(0.45, 0.3),
}


def peak_mb(command: direct.Command, letter: Path) -> float:
    """The most memory of one process with LETTER as its standard input, in MB; 0 without GNU time.

    Asked for it ourselves, the kernel would charge a process with what we have when we start it.
    """
    if not Path(GNU_TIME).exists():
        return 0.0
    said = letter.with_name("peak")
    direct.run(
        command._replace(arguments=[GNU_TIME, "-f", "%M", "-o", str(said), *command.arguments]),
        letter,
    )
    return int(said.read_text()) / 1024


def build_floor(top: Path) -> None:
    """Make the program of floor.c in TOP, if there is a C compiler."""
    compiler = shutil.which("cc")
    if compiler is not None:
        source = Path(__file__).with_name("floor.c")
        command = [compiler, "-O2", "-static", "-o", str(top / "floor"), str(source)]
        subprocess.run(command, check=True)


@contextmanager
def server(top: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `mdeliver lmtp` of the user we are, with its launcher's door at TOP/door."""
    settings = top / "mdeliver.toml"
    settings.write_text(
        f'[lmtp]\nlisten = ["unix:{top}/lmtp"]\nlauncher = "{top}/door"\nsocket_user = ""\n'
        "first_uid = 1\n"
    )
    command = [str(direct.BIN / "mdeliver"), "lmtp", "--settings", str(settings)]
    with (top / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket(socket.AF_UNIX) as asked:
                if asked.connect_ex(f"{top}/lmtp") == 0:
                    break
            # A server that is started by hand tells nobody when its socket is there.
            time.sleep(0.05)
        else:
            raise RuntimeError((top / "log").read_text())
        yield running
    finally:
        running.terminate()
        running.wait(30)


def processes_of(master: int) -> list[int]:
    """The server's processes."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, children)]


def cpu_of_server(master: int) -> float:
    """CPU seconds that the server's processes, ended ones too, have used so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in processes_of(master):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(fields[n]) for n in (11, 12, 13, 14))
    return total / ticks


def commands_for(case: direct.Case, agents: list[str], top: Path) -> dict[str, direct.Command]:
    """What is started for CASE, each with a home of its own in TOP."""
    commands: dict[str, direct.Command] = {}
    floor = top / "floor"
    for name in (SERVED, *agents, *([FLOOR] if floor.exists() else [])):
        home = top / f"{case.name} {name}".replace(" ", "-").replace(",", "")
        home.mkdir()
        if name == FLOOR:
            direct.make_maildir(home / "Maildir")
            commands[name] = direct.Command([str(floor), str(home)], {}, direct.both(home))
        else:
            commands[name] = direct.AGENTS[ALONE if name == SERVED else name](home, case.rules)
    for name, option in ((SERVED, f"{top}/door"), (ALONE, "")):
        if name in commands:
            arguments = [*commands[name].arguments, "--server", option]
            commands[name] = commands[name]._replace(arguments=arguments)
    return commands


def measure(
    case: direct.Case, agents: list[str], rounds: int, top: Path, master: int
) -> dict[str, float]:
    """Take turns; print the table of CASE. Returns the median of each agent's wall times."""
    letter = top / "letter"
    commands = commands_for(case, agents, top)
    counted = min(rounds, case.rounds)
    # Rules that were changed just now are not kept compiled: no event says when they are.
    time.sleep(direct.SETTLED_S)
    costs: dict[str, list[direct.Cost]] = {name: [] for name in commands}
    served_s = 0.0
    for number in range(counted + 2):
        letter.write_bytes(direct.message(case.size, number))
        for name, command in commands.items():
            before_s = cpu_of_server(master) if name == SERVED else 0.0
            costs[name].append(direct.run(command, letter))
            if name == SERVED:
                served_s += cpu_of_server(master) - before_s
    letter.write_bytes(direct.message(case.size, counted + 2))
    memory_mb = {name: peak_mb(command, letter) for name, command in commands.items()}
    memory_mb[SERVED] += lmtp.memory_mb(processes_of(master))
    filed = counted + 2 + Path(GNU_TIME).exists()
    for name, command in commands.items():
        if command.filed() != filed:
            raise RuntimeError(f"{name}: filed {command.filed()} of {filed} messages")
    counted_costs = {name: runs[2:] for name, runs in costs.items()}
    return show(case, counted_costs, served_s / (counted + 2), memory_mb)


def show(
    case: direct.Case,
    costs: dict[str, list[direct.Cost]],
    served_s: float,
    memory_mb: dict[str, float],
) -> dict[str, float]:
    """Medians, and ratios to procmail's; returns those of wall times, in seconds."""
    header = (f"{'wall ms':>10}", f"{'least':>10}", f"{'x ' + ORACLE:>12}", f"{'CPU ms':>10}")
    print(f"\n{case.name:24}{''.join(header)}{'MB':>8}")
    walls = {name: statistics.median(c.wall_s for c in runs) for name, runs in costs.items()}
    for name, runs in costs.items():
        cpu_s = statistics.median(c.cpu_s for c in runs) + (served_s if name == SERVED else 0.0)
        ratio = f"{walls[name] / walls[ORACLE]:.2f}" if ORACLE in walls else "-"
        least = min(c.wall_s for c in runs)
        print(
            f"{name:24}{1000 * walls[name]:>10.2f}{1000 * least:>10.2f}{ratio:>12}"
            f"{1000 * cpu_s:>10.2f}{memory_mb[name]:>8.1f}"
        )
    if case.name in MARKS and ORACLE in walls:
        print(MARKS[case.name].words(f"x {ORACLE}", walls[SERVED] / walls[ORACLE]))
    return walls


def show_markdown(found: dict[str, dict[str, float]]) -> None:
    """FOUND, by case and agent, as one table: each agent's wall time x procmail's."""
    print(f"\n| x {ORACLE} | {' | '.join(found)} |\n|---{'|---:' * len(found)}|")
    for name in next(iter(found.values())):
        ratios = [f"{walls[name] / walls[ORACLE]:.2f}" for walls in found.values()]
        print(f"| {name} | {' | '.join(ratios)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="the launcher with a server, beside other agents")
    parser.add_argument("--rounds", type=int, default=40, help="counted rounds of each case")
    parser.add_argument("--cases", default="", help="only cases whose name contains this text")
    parser.add_argument("--directory", type=Path, help="where the mailboxes are made")
    parser.add_argument("--memory", type=int, metavar="MIB", help="in a group with such a limit")
    parser.add_argument("--markdown", action="store_true", help="a table of all cases at the end")
    given = parser.parse_args()
    if given.memory:
        memorygroup.enter(given.memory)
    agents = [name for name in direct.present() if name != direct.DIRECT]
    top = fresh_directory(given.directory)
    build_floor(top)
    direct.step_down(top)
    try:
        with server(top) as running:
            found = {
                case.name: measure(case, agents, given.rounds, top, running.pid)
                for case in direct.CASES
                if given.cases in case.name
            }
        if given.markdown and ORACLE in agents:
            show_markdown(found)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Every fault at every system call of a dual delivery, then the retry Postfix would make.

Usage   python -m tests.faults.inject --agent mdeliver-lda --faults all
        python -m tests.faults.inject --agent procmail --faults 300 --seed 1 --resume /tmp/p.jsonl
Prints  each failure with the call that was struck, and a table at the end; exit 1 if any fault
        lost, doubled, tore or bounced anything, left litter or got stuck
Method  a home with mail in it; one delivery with one fault; what happens in between (--between);
        then the same message with a later From_ line until it is taken; then the accounting.
        Faults that did not happen are not counted; those that struck the launcher and the agent
        at once, and so are double faults, stand in a column of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.faults import account, between
from tests.faults.agents import AGENTS
from tests.faults.strace import ALWAYS, Point, point_after, points_of, strike, trace
from tests.installation import open_directory, recipient
from tests.local8 import Answer, as_handed_over, environment, hand_over
from tests.mboxreader import Torn

FAILURES = ("lost", "doubled", "torn", "bounced", "litter", "stuck")
ATTEMPTS = 3
TIMEOUT_S = 300.0
FIRST_TRY_AT = 1_700_000_000


class Result(NamedTuple):
    """One fault and what became of it.

    point    the fault, as text
    fired    how often it happened: 0 counts for nothing, 2 is a double fault
    where    the call that was struck
    first    verdict and output of the struck attempt
    wrong    words that begin with one of FAILURES
    """

    point: str
    fired: int
    where: str
    first: str
    wrong: list[str]


class Bench:
    """Homes for one agent, all alike, and the story of one fault.

    size     octets of the body
    fresh    begin with an empty home instead of one that has had a delivery
    """

    def __init__(self, agent: str, top: Path, *, size: int = 4096, fresh: bool = False) -> None:
        self.agent = AGENTS[agent]
        self.top = top
        self._numbers = count()
        template = recipient(top / "template")
        self.person = template
        self.prior = [] if fresh else [self._message("prior", 1024)]
        self.message = self._message("struck", size)
        command = self.agent.prepare(template)
        for message in self.prior:
            answer = hand_over(
                command,
                self.agent.handed(message, FIRST_TRY_AT - 99),
                environment(template),
                template,
            )
            assert answer.verdict == "sent", answer
        clean = self._copy_of_template()
        # strace runs as the person too.
        self.traces = recipient(top / "traces").home
        log = self.traces / "clean"
        first_try = self.agent.handed(self.message, FIRST_TRY_AT)
        person = self.person._replace(home=clean)
        answer = trace(
            log, [], self.agent.prepare(person), first_try, environment(person), person, TIMEOUT_S
        )
        assert answer.verdict == "sent", answer
        self.clean_files = account.files_of(clean)
        wrong = self._account(clean, between.Happened())
        assert not wrong, wrong
        text = log.read_text(errors="replace")
        self.points = points_of(text)
        self.all_points = points_of(text, more=ALWAYS)
        self.after_append = point_after(text, '"From sender@')

    def _message(self, name: str, size: int) -> bytes:
        line = f"{name} line that is as long as lines in letters mostly are, or so.\n"
        body = (line * (size // len(line) + 1))[:size] + "\n"
        head = f"From: <{name}@example.net>\nSubject: {name}\nMessage-ID: <{name}@example.net>\n"
        return as_handed_over(f"{head}\n{body}".encode(), self.person)

    def _copy_of_template(self) -> Path:
        home = self.top / f"home{next(self._numbers)}"
        subprocess.run(["/bin/cp", "-a", str(self.top / "template"), str(home)], check=True)
        return home

    def _account(self, home: Path, happened: between.Happened) -> list[str]:
        expected = [*self.prior, self.message, *happened.arrived]

        def in_mbox() -> list[bytes]:
            stored = account.in_mbox(home / "mbox", self.agent.quoting)
            return [account.without_run(m) for m in (*stored, *happened.from_mbox)]

        def in_maildir() -> list[bytes]:
            stored = account.in_maildir(home / "Maildir")
            return [account.without_run(m) for m in (*stored, *happened.from_maildir)]

        return [
            *(self._mixed_runs(home) if self.agent.filters else []),
            *account.faults_in("mbox", in_mbox, expected),
            *account.faults_in("maildir", in_maildir, expected),
            *account.litter_in(home, self.clean_files),
        ]

    def _mixed_runs(self, home: Path) -> list[str]:
        piped = home / "piped"
        try:
            stored = account.in_mbox(home / "mbox", self.agent.quoting)
        except Torn:
            return []  # that is told already
        return account.mixed_runs(
            stored,
            account.in_maildir(home / "Maildir"),
            piped.read_bytes() if piped.exists() else b"",
        )

    def suffer(self, point: Point, event: str = "nothing", torn_at: int = 0) -> Result:
        """The story of one fault.

        event    what happens between it and the retry
        torn_at  if not 0, the fault also leaves only so many bytes of what was appended to the
                 mbox, as a kill in the midst of a large write does
        """
        home = self._copy_of_template()
        try:
            return self._story(point, event, torn_at, home)
        finally:
            # Only files are deleted in between: creating where much was deleted is slow on ext4.
            shutil.rmtree(home, ignore_errors=True)

    def _story(self, point: Point, event: str, torn_at: int, home: Path) -> Result:
        person = self.person._replace(home=home)
        command, environ = self.agent.prepare(person), environment(person)
        log = self.traces / home.name
        try:
            first_try = self.agent.handed(self.message, FIRST_TRY_AT)
            struck = strike(point, log, command, first_try, environ, person, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return Result(str(point), 1, "", "timed out", ["stuck: the struck attempt hangs"])
        finally:
            log.unlink(missing_ok=True)
        first = f"{struck.answer.verdict} {struck.answer.status} {struck.answer.output[:200]!r}"
        if struck.fired == 0:
            return Result(str(point), struck.fired, struck.where, first, [])
        if torn_at:
            before = (self.top / "template" / "mbox").stat().st_size
            os.truncate(home / "mbox", before + torn_at)
        happened = between.Happened()
        answer: Answer | None = struck.answer
        if struck.answer.verdict == "deferred":
            try:
                happened = between.EVENTS[event](self.agent, person)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                return Result(
                    str(point), struck.fired, struck.where, first, [f"stuck: {event}: {error}"]
                )
            answer = self._retry(command, environ, home)
        if answer is None:
            wrong = ["stuck: the retry is never taken"]
        elif answer.verdict == "deferred":
            wrong = [f"stuck: the retry says {answer.status} {answer.output[:200]!r}"]
        elif answer.verdict == "bounced":
            wrong = [f"bounced: {answer.status} {answer.output[:200]!r}"]
            wrong += [w for w in self._account(home, happened) if w.startswith("torn")]
        else:
            wrong = self._account(home, happened)
        return Result(str(point), struck.fired, struck.where, first, wrong)

    def _retry(self, command: list[str], environ: dict[str, str], home: Path) -> Answer | None:
        """Bring the message again, later each time, until it is not deferred; None: it hangs."""
        answer = None
        person = self.person._replace(home=home)
        for attempt in range(1, ATTEMPTS + 1):
            again = self.agent.handed(self.message, FIRST_TRY_AT + 600 * attempt)
            try:
                answer = hand_over(command, again, environ, person, timeout_s=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                return None
            if answer.verdict != "deferred":
                return answer
        return answer


def spread(points: list[Point], wanted: int, seed: int) -> list[Point]:
    """WANTED points drawn without repetition, in their old order."""
    if wanted >= len(points):
        return points
    chosen = set(random.Random(seed).sample(range(len(points)), wanted))
    return [point for index, point in enumerate(points) if index in chosen]


def suffer_all(
    bench: Bench, points: Iterable[Point], event: str = "nothing", jobs: int = 2
) -> Iterator[Result]:
    """The story of every point, JOBS at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda point: bench.suffer(point, event), points)


def table(results: Iterable[Result], title: str) -> str:
    """How many faults, and how many of each failure; a fault counts once in each column."""
    counts: Counter[str] = Counter()
    for result in results:
        counts["not fired" if result.fired == 0 else "twice" if result.fired > 1 else "faults"] += 1
        counts["deferred"] += result.fired > 0 and result.first.startswith("deferred")
        counts.update({word.split(":")[0].split()[0] for word in result.wrong})
    columns = ("faults", "deferred", *FAILURES, "not fired", "twice")
    head = " | ".join(columns)
    row = " | ".join(str(counts[column]).rjust(len(column)) for column in columns)
    return f"{title}\n{head}\n{row}\n"


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--agent", choices=AGENTS, default="mdeliver-lda")
    parser.add_argument("--faults", default="all", help="all, or how many to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--between", choices=between.EVENTS, default="nothing")
    parser.add_argument("--only", default="", help="comma list of system calls, or of points")
    parser.add_argument("--size", type=int, default=4096, help="octets of the message's body")
    parser.add_argument("--fresh", action="store_true", help="begin with an empty home")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--resume", type=Path, help="results so far, one a line; appended to")
    options = parser.parse_args()

    known = _read_results(options.resume)
    top = open_directory("faults")
    began = time.monotonic()
    try:
        bench = Bench(options.agent, top, size=options.size, fresh=options.fresh)
        points = bench.points
        if options.only:
            names = set(options.only.split(","))
            points = [p for p in points if p.call in names or str(p) in names]
        if options.faults != "all":
            points = spread(points, int(options.faults), options.seed)
        todo = [point for point in points if str(point) not in known]
        for result in suffer_all(bench, todo, options.between, options.jobs):
            known[result.point] = result
            _keep(options.resume, result)
            if result.wrong:
                sys.stdout.write(f"{result.point}: {'; '.join(result.wrong)}\n")
                sys.stdout.write(f"    at {result.where}\n    first {result.first}\n")
                sys.stdout.flush()
        results = [known[str(point)] for point in points]
    finally:
        shutil.rmtree(top, ignore_errors=True)
    title = f"{options.agent}, {options.between} in between, {time.monotonic() - began:.0f} s"
    sys.stdout.write(table(results, title))
    return 1 if any(result.wrong for result in results) else 0


def _read_results(path: Path | None) -> dict[str, Result]:
    if path is None or not path.exists():
        return {}
    return {r.point: r for r in (Result(**json.loads(x)) for x in path.read_text().splitlines())}


def _keep(path: Path | None, result: Result) -> None:
    if path is not None:
        with path.open("a") as kept:
            kept.write(json.dumps(result._asdict()) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""Run parts, some at once, each in a process of its own; say how far it is."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.torture.results import Results
from tests.torture.stories import CannotBeHad, Part

_TELL_EVERY_S = 1.0


def run_parts(parts: Sequence[Part], results: Results, *, jobs: int, every: int) -> None:
    """Run PARTS, JOBS at a time, one case in EVERY, and keep what comes of it in RESULTS."""
    context = multiprocessing.get_context("fork")
    told: Any = context.Queue()
    waiting = list(parts)
    running: dict[str, Any] = {}
    progress = _Progress(len(parts))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                part = waiting.pop(0)
                known = frozenset(results.wrong[part.name])
                child = context.Process(target=_run, args=(part, known, every, told))
                child.start()
                running[part.name] = child
            try:
                name, what, value = told.get(timeout=_TELL_EVERY_S)
            except queue.Empty:
                for name in [n for n, child in running.items() if not child.is_alive()]:
                    if told.empty():
                        running.pop(name)
                        results.keep(name, "the whole", ["stuck: its process has died"])
                continue
            if what == "case":
                results.keep(name, *value)
                if value[1]:
                    progress.say(f"{name}: {value[0]}: {'; '.join(value[1])[:500]}")
            elif what == "missing":
                results.missing[name] = value
            elif what == "over":
                running.pop(name).join()
            progress.note(name, what, value)
    finally:
        for child in running.values():
            child.terminate()
            child.join()
        progress.end()


def _run(part: Part, known: frozenset[str], every: int, told: Any) -> None:
    """In a process of its own: open PART and run its cases but for the KNOWN."""
    # An end that comes early must leave no mounts, users or servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    top = Path(tempfile.mkdtemp(prefix="mdeliver-torture-", dir=memory))
    try:
        with part.open(top) as story:
            todo = [case for case in story.cases[::every] if case not in known]
            told.put((part.name, "cases", len(todo)))
            for case in todo:
                told.put((part.name, "case", (case, story.suffer(case))))
    except CannotBeHad as error:
        told.put((part.name, "missing", str(error)))
    except KeyboardInterrupt:
        pass
    except BaseException:
        lines = traceback.format_exc().splitlines()
        told.put((part.name, "case", ("the whole", [f"stuck: {' | '.join(lines[-6:])}"])))
    finally:
        shutil.rmtree(top, ignore_errors=True)
        told.put((part.name, "over", None))


class _Progress:
    """How far it is, on a terminal's standard error."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._cases: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._over = 0
        self._began = self._told = time.monotonic()
        self._shown = sys.stderr.isatty()

    def note(self, part: str, what: str, value: Any) -> None:
        """Something came from PART."""
        if what == "cases":
            self._cases[part] = value
        elif what == "case":
            self._done[part] = self._done.get(part, 0) + 1
        elif what == "over":
            self._over += 1
            self._cases.pop(part, None)
        now = time.monotonic()
        if self._shown and now - self._told >= _TELL_EVERY_S:
            self._told = now
            sys.stderr.write(f"\r\x1b[K{self._words(now - self._began)}")

    def _words(self, gone_s: float) -> str:
        part_done = sum(
            self._done.get(part, 0) / cases for part, cases in self._cases.items() if cases
        )
        share = (self._over + part_done) / self._parts
        left = f", about {gone_s / share - gone_s:.0f} s left" if share > 0.01 else ""
        done = sum(self._done.values())
        return f"{done} cases, {self._over} of {self._parts} parts, {gone_s:.0f} s{left}"

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def end(self) -> None:
        """The last."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")

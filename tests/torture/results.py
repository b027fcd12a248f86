"""What was run, and what came of it: kept in a file, so that the suite can be interrupted.

One line of JSON for each case, in the order in which they ended. The first line says of what: when
the program or its tests have changed, what is there tells nothing, and it begins anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.torture.stories import COUNTED

FAULTS = ("ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "EINTR", "ENOMEM", "kill")
"""What is tried at each system call of each way, at the least."""

_FAULT = re.compile(r"(?:^\d+ |#\d+:)(SIGKILL|(?:kill|alarm) \w+|(?:done, )?E[A-Z0-9]+)$")

_OF = ("mdeliver", "launcher", "tests/faults", "tests/fuzz", "tests/torture")


class Results:
    """Results by part and case; `missing` has why a part could not be run here."""

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self.wrong: dict[str, dict[str, list[str]]] = defaultdict(dict)
        self.missing: dict[str, str] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        of = json.dumps({"of": fingerprint()})
        lines = path.read_text().splitlines() if path.exists() else []
        if again or not lines or lines[0] != of:
            path.write_text(of + "\n")
            lines = [of]
        for line in lines[1:]:
            try:
                part, case, words = json.loads(line)
            except ValueError:
                continue  # torn: that case is run again
            self.wrong[part][case] = words

    def keep(self, part: str, case: str, words: list[str]) -> None:
        """Write down what was wrong after CASE."""
        self.wrong[part][case] = words
        with self._path.open("a") as kept:
            kept.write(json.dumps([part, case, words]) + "\n")

    def any_wrong(self, parts: Sequence[str]) -> bool:
        """Whether anything was wrong in PARTS."""
        return any(words for part in parts for words in self.wrong[part].values())

    def table(self, parts: Sequence[str]) -> str:
        """Runs and counts of each of PARTS; a case counts once in each column."""
        width = max(len(part) for part in (*parts, "all"))
        lines = [" | ".join(["".ljust(width), "  runs", *COUNTED])]
        total: Counter[str] = Counter()
        for part in parts:
            if part in self.missing:
                lines.append(f"{part.ljust(width)} | cannot be had: {self.missing[part]}")
                continue
            counts = Counter({"runs": len(self.wrong[part])})
            for words in self.wrong[part].values():
                counts.update({kind_of(word) for word in words})
            total.update(counts)
            lines.append(_row(part.ljust(width), counts))
        return "\n".join([*lines, _row("all".ljust(width), total)]) + "\n"

    def faults(self, parts: Sequence[str]) -> str:
        """How often each kind of fault was tried in each of PARTS that strike system calls."""
        counts = {
            part: Counter(fault for case in self.wrong[part] if (fault := fault_of(case)))
            for part in parts
        }
        counts = {part: of for part, of in counts.items() if of}
        width = max((len(part) for part in counts), default=0)
        lines = [" | ".join(["".ljust(width), *FAULTS, "others"])] if counts else []
        for part, of in counts.items():
            others = sum(number for fault, number in of.items() if fault not in FAULTS)
            numbers = [str(of[fault]).rjust(len(fault)) for fault in FAULTS]
            lines.append(" | ".join([part.ljust(width), *numbers, str(others).rjust(6)]))
        return "\n".join([*lines, ""])


def fault_of(case: str) -> str:
    """Which kind of fault CASE is, as its name ends; "" if it strikes no system call."""
    found = _FAULT.search(case)
    if found is None:
        return ""
    return "kill" if found[1].startswith(("kill", "SIGKILL")) else found[1]


def kind_of(word: str) -> str:
    """Which of COUNTED a word tells of; what begins otherwise is a harness that is stuck."""
    kind = word.split()[0].rstrip(":") if word else ""
    return kind if kind in COUNTED else "stuck"


def _row(name: str, counts: Counter[str]) -> str:
    numbers = [str(counts["runs"]).rjust(6), *[str(counts[c]).rjust(len(c)) for c in COUNTED]]
    return " | ".join([name, *numbers])


def fingerprint() -> str:
    """A hash of all that the results depend on."""
    digest = hashlib.blake2b(digest_size=16)
    for top in _OF:
        for path in sorted(Path(top).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

"""Never lose a letter: all of faults, power cuts, full disks, crowds, load and hostile input.

Usage   make torture             or: python -m tests.torture [--part WORDS]... [--jobs N]
        SOAK=600 make torture    so many seconds of load; an hour if it is not set
        FUZZ=600 make torture    so many seconds of hostile input; two hours if it is not set
        python -m tests.torture --list
Resumes where it was interrupted: .torture/results.jsonl has what was run and its result, as long
        as the program and its tests are the same; --again forgets it
Prints  how far it is and how long it will take (on a terminal), each case that went wrong, and a
        table; exit 1 if any count is not zero. A second table has the kinds of faults that were
        tried at system calls
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.torture.parts import PARTS
from tests.torture.results import Results
from tests.torture.run import run_parts


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", action="append", default=[], help="only parts with these words")
    parser.add_argument("--jobs", type=int, default=2, help="how many parts at once")
    parser.add_argument("--every", type=int, default=1, help="one case in so many of each part")
    parser.add_argument("--results", type=Path, default=Path(".torture/results.jsonl"))
    parser.add_argument("--again", action="store_true", help="forget what was run before")
    parser.add_argument("--list", action="store_true", help="name the parts, and do nothing")
    options = parser.parse_args()
    parts = [p for p in PARTS if not options.part or any(word in p.name for word in options.part)]
    if options.list or not parts:
        sys.stdout.write("".join(f"{part.name}\n" for part in parts))
        return 0 if parts else 2
    results = Results(options.results, again=options.again)
    # Whoever ends it ends its parts too; also in the background, where a shell has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        run_parts(parts, results, jobs=options.jobs, every=options.every)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the same command goes on from here.\n")
        return 130
    names = [part.name for part in parts]
    sys.stdout.write(f"{results.table(names)}\n{results.faults(names)}")
    return 1 if results.any_wrong(names) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Do the deed of one subject, in a process of its own: for those who look on from outside.

Usage   python -m tests.faults.act SUBJECT HOME [ATTEMPT]
Prints  a line `promise NAME` for each thing when it is said to be done
Ends    0 done
        75 put off, and may be tried again; 1 anything else
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mdeliver.outcome import Deferral
from tests.faults.recording import PROMISE
from tests.faults.subjects import SUBJECTS


def main() -> int:
    """The command line; see the module."""
    name, home, *attempt = sys.argv[1:]
    subject = SUBJECTS[name](Path(home))
    subject.say = lambda what: os.write(1, PROMISE + what.encode() + b"\n")
    try:
        subject.act(int(attempt[0]) if attempt else 0)
    except (OSError, Deferral) as error:
        sys.stderr.write(f"{error}\n")
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())

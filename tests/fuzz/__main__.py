"""python -m tests.fuzz: see the package."""

from __future__ import annotations

import sys

from tests.fuzz.run import main

sys.exit(1 if main(sys.argv[1:]) else 0)

"""What the account of a delivery costs: the same program with it and without, taking turns.

Measures   CPU of `mdeliver deliver` as the launcher starts it, 4 KB, 3 rules, both places; see
           direct.py, whose parts these are. Without: a stand-in for history/account.py that does
           nothing, in a copy of the installed package with a bundle of its own.
The mark   the account takes no more than MARK of a delivery, by the median of the differences of
           neighbouring runs, which a drifting machine disturbs least.

    python -m benchmarks.account [--rounds N]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import direct
from benchmarks.ground import fresh_directory
from mdeliver.__main__ import AGENT_DONE

MARK = 0.03

NOTHING = """\
class Account:
    __slots__ = ("done", "envelope", "plan")

    def __init__(self, *_arguments):
        self.plan = self.done = None

    def close(self, _outcome):
        pass
"""


def installation(top: Path, *, with_account: bool) -> Path:
    """A copy of the installed package; the prefix to start it by."""
    prefix = top / ("with" if with_account else "without")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    place = Path("lib") / version / "site-packages"
    for package in ("mdeliver", "re2"):
        shutil.copytree(
            Path(sys.prefix) / place / package,
            prefix / place / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    package_directory = prefix / place / "mdeliver"
    if not with_account:
        (package_directory / "history" / "account.py").write_text(NOTHING)
    bundle = [sys.executable, str(direct.ROOT / "launcher" / "bundle.py")]
    subprocess.run([*bundle, package_directory, package_directory], check=True)
    return prefix


def command(prefix: Path, home: Path) -> direct.Command:
    """A delivery by the copy at PREFIX into HOME."""
    home.mkdir()
    direct.mdeliver_rules(home, 3)
    bootstrap = (direct.ROOT / "launcher" / "bootstrap.py").read_text()
    python = str(direct.BIN / "python3")
    arguments = [python, "-I", "-S", "-c", bootstrap, str(prefix), "deliver"]
    return direct.Command(arguments, direct.environment(home), direct.both(home), AGENT_DONE)


def main() -> None:
    parser = argparse.ArgumentParser(description="cost of the account of a delivery")
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    top = fresh_directory()
    try:
        prefixes = [installation(top, with_account=yes) for yes in (True, False)]
        top.chmod(0o755)
        homes = top / "homes"
        homes.mkdir()
        direct.step_down(homes)
        told, silent = (command(prefix, homes / prefix.name) for prefix in prefixes)
        # Rules that were changed just now are not kept compiled: no event says when they are.
        time.sleep(direct.SETTLED_S)
        pairs = []
        for number in range(rounds + 4):
            letter = homes / "letter"
            letter.write_bytes(direct.message(4 << 10, number))
            # Whoever comes second finds warmer caches.
            order = (told, silent) if number % 2 else (silent, told)
            costs = {id(one): direct.run(one, letter).cpu_s for one in order}
            pairs.append((costs[id(told)], costs[id(silent)]))
        pairs = pairs[4:]
        whole = statistics.median(without for _with, without in pairs)
        more = statistics.median(with_ - without for with_, without in pairs)
        verdict = "kept" if more <= MARK * whole else "MISSED"
        print(f"a delivery without: {1000 * whole:.2f} ms CPU; with: {1000 * more:+.3f} ms")
        print(f"Mark {verdict}: {100 * more / whole:.1f} %; the mark is {100 * MARK:.0f} %.")
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()

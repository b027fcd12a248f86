"""What each module costs that a delivery imports: the direct path's start, taken apart.

Measures   one delivery under `python3 -X importtime`, several times; the median of each module's
           own time, without those that it imports itself. The interpreter's own modules, which
           bare `python3 -I -S -c pass` imports too, are left out.
Without    the bundle: what comes out of that is not imported one by one and cannot be told apart.
See also   tests/structure/test_hot_path.py, which lists what may be imported

    python -m benchmarks.imports [--rounds N] [--rules N]
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import time
from collections import defaultdict

from benchmarks.direct import BIN, SETTLED_S, direct, message, step_down
from benchmarks.ground import fresh_directory

_LINE = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", re.MULTILINE)


def own_times(arguments: list[str], environment: dict[str, str], letter: bytes) -> dict[str, int]:
    """Microseconds of each module's own import in one run."""
    timed = [arguments[0], "-X", "importtime", *arguments[1:]]
    done = subprocess.run(timed, input=letter, env=environment, capture_output=True, check=False)
    return {name: int(own) for own, name in _LINE.findall(done.stderr.decode())}


def main() -> None:
    parser = argparse.ArgumentParser(description="what each import of a delivery costs")
    parser.add_argument("--rounds", type=int, default=20, help="deliveries to take the median of")
    parser.add_argument("--rules", type=int, default=3, help="rules in the rules file")
    given = parser.parse_args()
    top = fresh_directory()
    step_down(top)
    try:
        command = direct(top / "home", given.rules)
        command.arguments[4] = command.arguments[4].replace("/mdeliver/bundle.", "/no bundle/")
        bare = own_times([str(BIN / "python3"), "-I", "-S", "-c", "pass"], {}, b"")
        # Rules that were changed just now are not kept compiled: no event says when they are.
        time.sleep(SETTLED_S)
        own_times(command.arguments, command.environment, message(4096, given.rounds))
        times: dict[str, list[int]] = defaultdict(list)
        for number in range(given.rounds):
            run = own_times(command.arguments, command.environment, message(4096, number))
            for name in run.keys() - bare.keys():
                times[name].append(run[name])
    finally:
        shutil.rmtree(top, ignore_errors=True)
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    for name, own_us in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{own_us:8.0f} µs  {name}")
    ours = sum(us for name, us in medians.items() if name.partition(".")[0] == "mdeliver")
    total = sum(medians.values())
    print(f"{total:8.0f} µs  in {len(medians)} modules, {ours:.0f} µs of them in mdeliver's own")


if __name__ == "__main__":
    main()

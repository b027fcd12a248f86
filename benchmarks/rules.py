"""What a large rules file costs a delivery: read and checked anew, or kept from the last time.

Measures   lexing, parsing, checking and the first evaluation of N rules, in CPU time of one process
           (the best of several rounds); the kept form's size, reading and unpacking; linting, which
           only `mdeliver check` does; and one evaluation over an ordinary message.
See also   mdeliver/rulescache.py; direct.py --rules N for whole deliveries

    python -m benchmarks.rules [--rules N] [--rounds N]
"""

from __future__ import annotations

import argparse
import marshal
import time
from collections.abc import Callable

from benchmarks.ground import fresh_directory
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.language.parser import parse
from mdeliver.message import Message
from mdeliver.rulescache import RulesCache, pack, unpack
from mdeliver.settings import Site

RULE = """\
if from is "person{n}@example.org" and subject contains "project {n}":
    also file to imap/Projects/"{n}" as flagged
elif list-id matches "(*).list{n}.example.org" or header "X-Number" > {n}:
    file to imap/Lists/{{1}}
"""
# No glob without a capture may stand in for one with it.
RULE = RULE.replace(' or header "X-Number" > {n}', ' and not header "X-Number" > {n}')

HEAD = b"".join(
    b"%s: %s\n" % field
    for field in (
        (b"From", b"Bob Example <bob@example.org>"), (b"To", b"Ann <ann@example.org>"),
        (b"Subject", b"=?utf-8?q?Lunch_on_Monday=3F?="), (b"Message-ID", b"<1@example.org>"),
        *((b"X-Header-%d" % n, b"x" * 60) for n in range(20)),
    )
)  # fmt: skip


def best_ms(rounds: int, deed: Callable[[], object]) -> float:
    """CPU milliseconds of DEED, the best of ROUNDS."""
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        deed()
        best = min(best, time.process_time() - start)
    return best * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="what a large rules file costs")
    parser.add_argument("--rules", type=int, default=500, help="rules in the file")
    parser.add_argument("--rounds", type=int, default=10, help="rounds to take the best of")
    given = parser.parse_args()
    text = "".join(RULE.format(n=n) for n in range(given.rules))
    source = Source("rules", text)
    program = compile_rules([source], str).program
    if program is None:
        raise SystemExit("these rules have an error")
    packed = marshal.dumps(pack(program))
    envelope = Envelope("ann", "/home/ann", 1000, "bob@example.org", "ann@example.org")

    def evaluated() -> object:
        message = Message(HEAD + b"\n", 4096)
        return evaluate(program, message, envelope, Site(), 0.0, explain=False)

    print(f"{given.rules} rules, {text.count(chr(10))} lines, {len(text) >> 10} KB")
    for words, deed in (
        ("lexed and parsed", lambda: parse(text, "rules")),
        ("compiled: parsed and checked", lambda: compile_rules([source], str)),
        ("linted (mdeliver check)", lambda: lint(program, {"rules": text}, ["rules"])),
        ("kept: unpacked", lambda: unpack(marshal.loads(packed))),
        ("kept: looked up, compared, unpacked", _fetching(text)),
        ("evaluated over one message", evaluated),
    ):
        print(f"{best_ms(given.rounds, deed):8.1f} ms  {words}")
    print(f"{len(packed) >> 10:8} KB  kept")


def _fetching(text: str) -> Callable[[], object]:
    """Fetches the rules TEXT as a delivery does that finds them kept."""
    import os

    from mdeliver.decision import load_rules

    home = fresh_directory()
    rules = home / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text(text)
    rules.chmod(0o600)
    envelope = Envelope("ann", str(home), os.geteuid())
    time.sleep(2.1)  # what was changed a moment ago is not kept
    cache = RulesCache(envelope, None, {})
    cache.program = load_rules(str(home), os.geteuid(), None, cache.files).program
    cache.keep()

    def fetch() -> None:
        if RulesCache(envelope, None, {}).fetch() is None:
            raise SystemExit("the rules were not kept")

    return fetch


if __name__ == "__main__":
    main()

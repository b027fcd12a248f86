"""How long `mdeliver rejects` takes for a large log, and how much memory.

The log    is generated: a server that refuses six of ten clients, by the checks that strangers
           mostly fail, and takes the others' mail; lines as Postfix 3.7 writes them. Seven of ten
           senders and clients are seen once only, as they are in life.
Measures   wall time, CPU (of all processes) and the largest resident set of any process.
The mark   1 GB in less than MARK_S seconds on two processors.

    python -m benchmarks.rejects [--megabytes 1000] [--compress gzip] [--keep FILE]
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MARK_S = 60
BIN = Path(sys.prefix) / "bin"
_START_S = 1_793_620_800

_REFUSALS = (
    "450 4.7.25 Client host rejected: cannot find your hostname, [{ip}]",
    "504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname",
    "450 4.7.1 <{helo}>: Helo command rejected: Host not found",
    "450 4.1.8 <{sender}>: Sender address rejected: Domain not found",
    "550 5.1.1 <{to}>: Recipient address rejected: User unknown in local recipient table",
    "554 5.7.1 <{to}>: Relay access denied",
    "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.example;"
    " https://www.example.com/query/ip/{ip}",
)


def sessions(seed: int = 1) -> Iterator[str]:
    """Log lines of one session after the other, for ever."""
    chance = random.Random(seed)
    now_s = float(_START_S)
    serial = 0
    known = [_stranger(chance) for _ in range(2000)]
    while True:
        now_s += chance.expovariate(2.0)
        serial += 1
        name, ip, helo, sender = (
            chance.choice(known) if chance.random() < 0.3 else _stranger(chance)
        )
        to = f"user{chance.randrange(40)}@example.org"
        stamp = time.strftime("%b %d %H:%M:%S", time.gmtime(now_s))
        smtpd = f"{stamp} mail postfix/smtpd[{chance.randrange(1000, 30000)}]:"
        yield f"{smtpd} connect from {name}[{ip}]\n"
        if chance.random() < 0.6:
            reply = chance.choice(_REFUSALS).format(ip=ip, helo=helo, sender=sender, to=to)
            yield (
                f"{smtpd} NOQUEUE: reject: RCPT from {name}[{ip}]: {reply};"
                f" from=<{sender}> to=<{to}> proto=ESMTP helo=<{helo}>\n"
            )
            yield f"{smtpd} disconnect from {name}[{ip}] ehlo=1 mail=1 rcpt=0/1 commands=2/3\n"
            continue
        queue_id = f"{serial:X}".rjust(10, "A")
        yield f"{smtpd} {queue_id}: client={name}[{ip}]\n"
        yield f"{stamp} mail postfix/cleanup[77]: {queue_id}: message-id=<{serial}@{helo}>\n"
        yield (
            f"{stamp} mail postfix/qmgr[99]: {queue_id}: from=<{sender}>, size=4711, nrcpt=1"
            " (queue active)\n"
        )
        yield f"{smtpd} disconnect from {name}[{ip}] ehlo=1 mail=1 rcpt=1 data=1 commands=4\n"
        yield (
            f"{stamp} mail postfix/local[88]: {queue_id}: to=<{to}>, relay=local, delay=0.3,"
            " delays=0.2/0/0/0.1, dsn=2.0.0, status=sent (delivered to command: mdeliver-lda)\n"
        )
        yield f"{stamp} mail postfix/qmgr[99]: {queue_id}: removed\n"


def _stranger(chance: random.Random) -> tuple[str, str, str, str]:
    ip = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
    domain = f"d{chance.randrange(10**7)}.example.net"
    name = "unknown" if chance.random() < 0.5 else f"mx.{domain}"
    return name, ip, f"mx.{domain}", f"s{chance.randrange(10**6)}@{domain}"


def write_log(path: Path, size: int) -> int:
    """Write a log of about SIZE bytes; the number of its lines."""
    lines = written = 0
    with path.open("w") as log:
        for line in sessions():
            log.write(line)
            lines += 1
            written += len(line)
            if written >= size:
                return lines
    return lines


def main() -> None:
    """Generate, run, say what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--compress", choices=("gzip", "xz", "bzip2", "zstd"))
    parser.add_argument("--keep", type=Path, help="where to keep the log, or to find it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mdeliver-bench-") as top:
        log = given.keep or Path(top) / "mail.log"
        if not log.exists():
            lines = write_log(log, given.megabytes * 1_000_000)
            print(f"generated {lines} lines", file=sys.stderr)
        size = log.stat().st_size
        if given.compress:
            subprocess.run([given.compress, "-k", "-f", log], check=True)
            (log,) = [p for p in log.parent.glob(f"{log.name}.*") if not p.name.endswith(".log")]
        started = time.monotonic()
        command = [sys.executable, "-m", "mdeliver", "rejects", str(log)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        wall_s = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(done.stdout.decode().split("\n")[0])
    cpu_s = used.ru_utime + used.ru_stime
    print(f"{size / 1e6:.0f} MB: {wall_s:.1f} s, {cpu_s:.1f} s of CPU, {used.ru_maxrss >> 10} MB")
    print(
        f"the mark, {MARK_S} s for 1000 MB: {'kept' if wall_s * 1e9 / size < MARK_S else 'missed'}"
    )


if __name__ == "__main__":
    main()

"""`mdeliver bcc-maps` with many addresses: generation, look-ups over the socketmap, round trip.

Generation  the command as a process, first run and a run without changes, for each type of table
Round trip  every key through `postmap -q -`: what comes back is what was meant
Look-ups    one connection, one at a time, as cleanup(8) asks; then eight connections at once
Needs       Postfix's postconf and postmap; no running server

    python -m benchmarks.bcc_maps [--addresses N] [--types hash,lmdb]
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.ground import fresh_directory

LOOK_UPS = 20_000

MAIN_CF = """\
compatibility_level = 3.6
mydestination = example.org
myorigin = example.org
recipient_delimiter = +
"""


class Bench:
    """A list of addresses, and a Postfix configuration without a server."""

    def __init__(self, top: Path, addresses: int) -> None:
        self.top = top
        self.users = [f"user{number:06}" for number in range(addresses)]
        (top / "list").write_text("".join(f"{user}@example.org\n" for user in self.users))
        (top / "main.cf").write_text(MAIN_CF)
        (top / "master.cf").write_text(
            "cleanup unix n - n - 0 cleanup\npickup unix n - n 60 1 pickup\n"
            "submission inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
        )
        (top / "mdeliver.toml").write_text(
            f'[bcc_maps]\nsources = ["list:{top}/list"]\nkey = "{top}/keys"\n'
            f'tags = "{top}/tags"\npostfix = "{top}"\n'
        )

    def command(self, *options: str) -> list[str]:
        command = [sys.executable, "-m", "mdeliver", "bcc-maps"]
        return [*command, "--settings", f"{self.top}/mdeliver.toml", *options]

    def generate(self, kind: str) -> None:
        """Two runs, and all keys through postmap."""
        output = f"{kind}:{self.top}/{kind}"
        for run in ("first", "again"):
            start = time.perf_counter()
            subprocess.run(self.command("--output", output), check=True, capture_output=True)
            print(f"{kind:9} {run}: {time.perf_counter() - start:6.2f} s")
        rows = (self.top / kind).read_text().split("\n")[1:-1]
        asked = "".join(row.partition(" ")[0] + "\n" for row in rows).encode()
        command = ["/usr/sbin/postmap", "-c", str(self.top), "-q", "-", output]
        said = subprocess.run(command, input=asked, capture_output=True, check=True).stdout
        same = said.decode().split("\n")[:-1] == [row.replace(" ", "\t", 1) for row in rows]
        print(f"{kind:9} round trip of {len(rows)} keys: {'the same' if same else 'DIFFERS'}")

    def serve(self) -> None:
        """Start the server and ask."""
        path = self.top / "socket"
        start = time.perf_counter()
        command = self.command("--serve", f"unix:{path}")
        with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
            assert server.stderr is not None
            server.stderr.readline()
            print(f"served after {time.perf_counter() - start:.2f} s")
            took = self.ask(path, LOOK_UPS)
            quantiles = statistics.quantiles(took, n=1000)
            print(
                f"one look-up: median {statistics.median(took) * 1e6:.0f} µs, "
                f"99.9 % within {quantiles[-1] * 1e6:.0f} µs"
            )
            start = time.perf_counter()
            clients = [
                threading.Thread(target=self.ask, args=(path, LOOK_UPS // 8)) for _ in range(8)
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            seconds = time.perf_counter() - start
            print(f"eight clients: {LOOK_UPS / seconds:.0f} look-ups a second")
            server.terminate()

    def ask(self, path: Path, times: int) -> list[float]:
        """Seconds of each of so many look-ups, one after the other."""
        took = []
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            for number in range(times):
                user = self.users[number * 7919 % len(self.users)]
                request = f"sender_bcc {user}@example.org"
                octets = f"{len(request)}:{request},".encode()
                start = time.perf_counter()
                client.sendall(octets)
                reply = client.recv(1000)
                took.append(time.perf_counter() - start)
                assert f"OK {user}+sent-".encode() in reply, reply
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description="bcc-maps with many addresses")
    parser.add_argument("--addresses", type=int, default=100_000)
    parser.add_argument("--types", default="texthash,hash,lmdb,cdb")
    given = parser.parse_args()
    top = fresh_directory()
    try:
        bench = Bench(top, given.addresses)
        print(f"{given.addresses} addresses")
        for kind in given.types.split(","):
            bench.generate(kind)
        bench.serve()
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()

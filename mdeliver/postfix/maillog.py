"""Lines of Postfix's log, taken apart: when, which daemon, what.

    Nov 22 23:06:04 mail postfix/smtpd[14683]: TEXT
    2026-11-22T23:06:04.123456+01:00 mail postfix/smtpd[14683]: TEXT
    {"__REALTIME_TIMESTAMP": "…", "SYSLOG_IDENTIFIER": "postfix/smtpd", "MESSAGE": "TEXT", …}

Forms       syslog's and maillog_file's; rsyslog's and journalctl -o short-iso; journalctl -o json.
Years       the first form has none: the latest one that makes no line younger than its file.
Services    are told by what follows the last "/": postfix/submission/smtpd is an smtpd.
Guarantee   any octets give an entry or none; nothing is raised. A program that logs what strangers
            say cannot make an entry by quoting a line: the whole head must be right.
See also    postlogd(8), systemd.journal-fields(7), RFC 3164, RFC 3339
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

LINE_BYTES = 8192
"""What stands behind is not looked at; syslog and Postfix cut far earlier."""

_MONTHS = dict(
    zip(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), range(1, 13), strict=True)
)
_DAY_S = 86_400
_END_S = 1 << 33
"""Times after this, in 2242, are nobody's; calendars end soon after."""

_LEAP_CYCLE = 8
"""Years between two Februaries with 29 days, at most."""


class Entry(NamedTuple):
    """One line.

    stamp   when, as it is written there; Clock makes seconds of it
    daemon  smtpd, qmgr, …
    text    what was logged, undecoded
    """

    stamp: bytes
    daemon: bytes
    text: bytes


class Wanted:
    """Daemons whose lines are wanted, and how the text begins that is wanted of each.

    beginnings  pattern of the beginning by daemon; it cannot look beyond its line
    """

    def __init__(self, beginnings: Mapping[bytes, bytes]) -> None:
        self.of_daemon = {daemon: re.compile(text) for daemon, text in beginnings.items()}
        services = b"|".join(
            rb"%s\[\d+\]: (?=%s)" % (daemon, text) for daemon, text in beginnings.items()
        )
        # Host and service have no spaces: where there are more, a program quotes what it was told.
        self.in_lines = re.compile(
            rb"^([A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\S+) \S+ \S*/(%s)([^\n]{0,%d})"
            % (services, LINE_BYTES),
            re.MULTILINE,
        )


def entries(octets: bytes, wanted: Wanted) -> Iterator[Entry]:
    """The entries in OCTETS, which are whole lines, that are WANTED."""
    if octets.startswith(b"{") or b"\n{" in octets:
        for line in octets.split(b"\n"):
            if line.startswith(b"{"):
                if entry := _journal_entry(line, wanted):
                    yield entry
            else:
                yield from entries(line, wanted)
        return
    # One search through all lines: looking at each of them from here takes three times as long.
    for found in wanted.in_lines.finditer(octets):
        stamp, service, text = found.groups()
        yield Entry(stamp, service.partition(b"[")[0], text)


def _journal_entry(line: bytes, wanted: Wanted) -> Entry | None:
    try:
        fields = json.loads(line)
        stamp = fields["__REALTIME_TIMESTAMP"]
        _name, slash, daemon = fields["SYSLOG_IDENTIFIER"].rpartition("/")
        message = fields["MESSAGE"]
        # What is no UTF-8, or has control characters, comes as a list of octets.
        text = bytes(message) if isinstance(message, list) else message.encode("utf-8", "replace")
        entry = Entry(f"@{int(stamp)}".encode(), daemon.encode("utf-8", "replace"), text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A line break within a message would be another line in a file.
    entry = entry._replace(text=entry.text[:LINE_BYTES].replace(b"\n", b" "))
    beginning = wanted.of_daemon.get(entry.daemon) if slash else None
    return entry if beginning and beginning.match(entry.text) else None


class Clock:
    """Makes seconds of stamps; knows in which year a log was written.

    latest_s  no line is much younger than this: the file's time of change, or now
    """

    def __init__(self, latest_s: float) -> None:
        self._latest_s = latest_s
        self._year = time.localtime(latest_s).tm_year
        self._known: tuple[bytes | None, float] = (None, 0.0)
        self._hour: tuple[bytes | None, float] = (None, 0.0)

    def seconds(self, stamp: bytes) -> float | None:
        """Seconds since 1970, or None where STAMP is none."""
        # Many lines are of the same second.
        if self._known[0] == stamp:
            return self._known[1]
        try:
            if stamp.startswith(b"@"):
                seconds = int(stamp[1:]) / 1e6
            elif stamp[:1].isdigit():
                seconds = datetime.fromisoformat(stamp.decode()).timestamp()
            else:
                seconds = self._without_year(stamp)
        except (ValueError, OverflowError, OSError, LookupError):
            return None
        if not 0 <= seconds < _END_S:
            return None
        self._known = (stamp, seconds)
        return seconds

    def _without_year(self, stamp: bytes) -> float:
        # Clocks are put forward and back where an hour ends: within one, seconds only add up.
        minute, second = int(stamp[10:12]), int(stamp[13:15])
        if (
            self._hour[0] == stamp[:9]
            and 0 <= minute < 60
            and 0 <= second < 60
            and stamp[9:10] == b":"
        ):
            return self._hour[1] + 60 * minute + second
        seconds = self._searched(stamp)
        self._hour = (stamp[:9], seconds - 60 * minute - second)
        return seconds

    def _searched(self, stamp: bytes) -> float:
        """STAMP in the latest year that makes it no younger than the log."""
        month, day = _MONTHS[stamp[:3]], int(stamp[4:6])
        hour, minute, second = int(stamp[7:9]), int(stamp[10:12]), int(stamp[13:15])
        for year in range(self._year + 1, self._year - _LEAP_CYCLE, -1):
            try:
                local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001
            except ValueError:
                if (month, day) != (2, 29):
                    raise
                continue
            # A day for clocks that were put right since.
            if (seconds := local.timestamp()) <= self._latest_s + _DAY_S:
                return seconds
        raise ValueError("no such day")

"""What commands that report have in common: moments on the command line, and a mail from cron.

See also    rejects.py, report.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import click

from mdeliver.outcome import one_line

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SYSTEM_PROGRAMS = "/usr/sbin:/usr/lib:/usr/local/sbin"


class Moment(click.ParamType[float]):
    """A date, a time of today, or how long ago: 2026-11-21, "2026-11-21 10:00", 10:00, 2d."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds since 1970."""
        today = datetime.now().astimezone().date()
        if value == "yesterday":
            value = str(today - timedelta(days=1))
        elif value == "today":
            value = str(today)
        if value[:-1].isdecimal() and value[-1] in _UNITS_S and len(value) < 8:
            return time.time() - int(value[:-1]) * _UNITS_S[value[-1]]
        try:
            if len(value) == 5:
                value = f"{today} {value}"
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f'"{value}" is no time; such as 2026-11-21, "2026-11-21 10:00", 10:00, today,'
                " yesterday, 12h, 7d",
                param,
                ctx,
            )


def yesterday() -> tuple[float, float]:
    """Its beginning and its end, seconds since 1970."""
    moment = Moment()
    return moment.convert("yesterday", None, None), moment.convert("today", None, None)


def send(address: str, subject: str, lines: Iterable[str]) -> None:
    """Hand a report to sendmail. Raises ClickException."""
    from email.message import EmailMessage

    message = EmailMessage()
    try:
        message["To"] = address
    except ValueError:
        raise click.BadParameter("is no address", param_hint="--mail") from None
    message["Subject"] = f"{os.uname().nodename}: {subject}"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines) + "\n")
    # cron's PATH often lacks the directories of the system's own programs.
    program = shutil.which("sendmail") or shutil.which("sendmail", path=_SYSTEM_PROGRAMS)
    if program is None:
        raise click.ClickException("there is no sendmail on this host")
    try:
        done = subprocess.run(
            [program, "-i", "-t"],
            input=message.as_bytes(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        raise click.ClickException(f"sendmail cannot be run: {error.strerror}") from None
    if done.returncode:
        said = one_line(done.stdout.decode("utf-8", "backslashreplace").strip())
        raise click.ClickException(f"sendmail ended with {done.returncode}: {said}")

"""What a command finds around it: the environment of the user it asks for, and a terminal.

See also    test.py, log.py, apply.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from mdeliver.envelope import Envelope
from mdeliver.intake import Options, become_owner, make_envelope, state_directory
from mdeliver.outcome import Deferral, one_line
from mdeliver.settings import SETTINGS_PATH


def settings_option(default: str | None = SETTINGS_PATH) -> Callable[[Any], Any]:
    """The option --settings FILE, which is wrong usage where a file that is named does not exist.

    DEFAULT, which stands for the usual place, need not be there.
    """

    def there(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
        if path not in (default, SETTINGS_PATH) and not os.path.exists(path or ""):
            raise click.BadParameter(f"there is no file {one_line(path or '')}", ctx, param)
        return path

    return click.option(
        "--settings",
        metavar="FILE",
        default=default,
        callback=there,
        help="Settings of the site.",
    )


class Asker:
    """The user whose state is asked for; the process has become that user, if it was root's.

    What lies in a user's home is the user's to choose: root must not read, write or rename there.
    """

    def __init__(self, options: Options) -> None:
        """Raises ClickException where there is no such user or home."""
        self.options = options
        self.environ: Mapping[str, str] = environment(options)
        try:
            self.envelope: Envelope = make_envelope(options, self.environ)
            become_owner(self.envelope)
        except Deferral as deferral:
            raise click.ClickException(one_line(deferral.text)) from None
        self.state = state_directory(self.envelope, self.environ)


def environment(options: Options) -> Mapping[str, str]:
    """The environment, without what is the caller's own where another user or home is asked for."""
    environ = dict(os.environ)
    other = options.user is not None and options.user != environ.get("USER")
    if other:
        environ.pop("HOME", None)
    if other or options.home is not None:
        environ.pop("XDG_STATE_HOME", None)
    return environ


def painter() -> Callable[[str, str], str]:
    """Colours on a terminal that wants them (https://no-color.org), else plain words."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return lambda _colour, words: words
    styles: dict[str, dict[str, Any]] = {"bold": {"bold": True}, "dim": {"dim": True}}
    return lambda colour, words: click.style(words, **styles.get(colour, {"fg": colour}))


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr; yields what is told how many are done with."""
    if not sys.stderr.isatty() or length == 0:
        yield lambda _count: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update

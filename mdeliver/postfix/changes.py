"""Changes to Postfix's settings: shown as commands, made together, and taken back.

Guarantee   all changes are made or none; `postfix check` has its say before and after.
Undo        every file that is to be changed is kept as it was, on disk before anything is changed,
            and then as it became. `undo` puts it back octet for octet, unless somebody has changed
            it since; after a run that was killed, too. Of several makes in a row, with nobody
            else's changes in between, the state before the first is kept.
In order    of two commands the later one's is taken back first; the other says so.
Fails with  SetupError, PostfixError, OSError; then everything is as it was
See also    postconf(1); sent/setup.py and postfix/settings.py, which say what to change
"""

from __future__ import annotations

import json
import os

from mdeliver import durable
from mdeliver.postfix.configuration import Postfix, PostfixError
from mdeliver.record import Record
from mdeliver.sent.files import replace_file, rewrite
from mdeliver.settings import TAGS_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Before = dict[str, str | None]
    Kept = dict[str, dict[str, str | None]]

_BYTES = 16 << 20

_UNDONE_BY = {
    "mdeliver-postfix.undo": "mdeliver postfix --revert",
    "mdeliver-dkim.undo": "mdeliver dkim --revert",
    "bcc-maps.undo": "mdeliver bcc-maps --undo",
}
"""What the commands call the files in which they keep what was there before."""


class SetupError(Exception):
    """One line for the administrator."""


class Change(Record):
    """One call of postconf.

    flag   "-e" main.cf, "-M" a service in master.cf, "-P" a setting of a service, "-F" a field
    name   setting, service ("cleanup-sent/unix"), service setting or service field
    value  what it becomes; for "-P" without white space, which postconf refuses
    """

    flag: str
    name: str
    value: str

    @property
    def command(self) -> str:
        """As an administrator would type it."""
        value = self.value.replace("'", "'\\''")
        return f"postconf {self.flag} '{self.name}={value}'"


def make(
    changes: Sequence[Change],
    postfix: Postfix,
    keep: str,
    files: Sequence[str] = (),
    write: Callable[[], None] | None = None,
) -> list[str]:
    """Make CHANGES, after a copy of every file that they touch.

    keep   path of the file that remembers what was there before
    files  paths of other files that WRITE changes or makes
    write  called before the settings are changed
    Returns the files that were changed. Raises SetupError, PostfixError, OSError and what WRITE
    raises; whatever was changed until then is taken back.
    """
    if not changes and write is None:
        return []
    directory = configuration_directory(postfix)
    paths = [f"{directory}/main.cf", f"{directory}/master.cf", *files]
    before = {path: _read(path) for path in paths}
    _check(postfix, "nothing was changed")
    earlier = _read(keep)
    kept = _first_of(_kept(keep), before)
    try:
        _keep(keep, kept)
        if write is not None:
            write()
        for change in changes:
            postfix.run("postconf", change.flag, f"{change.name}={change.value}")
        _check(postfix, "everything is as it was")
    except BaseException:
        _put_back({**before, keep: earlier})
        raise
    for path in paths:
        kept[path]["after"] = _read(path)
    _keep(keep, {path: states for path, states in kept.items() if not _is_as_before(states)})
    return [path for path in paths if before[path] != kept[path]["after"]]


def configuration_directory(postfix: Postfix) -> str:
    """Where main.cf is."""
    return postfix.directory or postfix.run("postconf", "-hd", "config_directory").strip()


def _check(postfix: Postfix, now: str) -> None:
    """Let Postfix look at its own settings; it says what it finds in the mail log alone."""
    try:
        postfix.run("postfix", "check")
    except PostfixError as error:
        raise SetupError(f"{error} (the mail log says why); {now}") from None


def _first_of(kept: Kept, now: Before) -> Kept:
    """What to remember of files that are as in NOW, where earlier calls remembered KEPT.

    `after` is missing until a call has come to its end.
    """
    found = dict(kept)
    for path, text in now.items():
        states = kept.get(path)
        ours = states is not None and states.get("after", text) == text
        found[path] = {"before": states["before"] if states is not None and ours else text}
    return found


def _is_as_before(states: dict[str, str | None]) -> bool:
    return "after" in states and states["before"] == states["after"]


def _kept(keep: str) -> Kept:
    """What was kept at KEEP. Raises SetupError where it is damaged: nothing may be written there
    then, since what can still be read of it may be all that is left of the old settings."""
    try:
        kept: Any = json.loads(durable.read_file(keep, _BYTES) or b"{}")
    except (ValueError, RecursionError):
        kept = None
    if not isinstance(kept, dict) or not all(map(_are_states, kept.keys(), kept.values())):
        raise SetupError(
            f"{keep} is damaged, so what was there before cannot be put back; it is left as it is. "
            "Take out of it by hand what you need, and remove it: then this can begin anew"
        )
    return kept


def _are_states(path: object, states: object) -> bool:
    """Whether STATES tell what the file PATH was, and became."""
    if not isinstance(path, str) or not path.startswith("/") or not isinstance(states, dict):
        return False
    texts = all(text is None or isinstance(text, str) for text in states.values())
    return texts and "before" in states and not states.keys() - {"before", "after"}


def _keep(keep: str, kept: Kept) -> None:
    durable.make_directory(os.path.dirname(keep), 0o755)
    if kept:
        replace_file(keep, json.dumps(kept, indent=1).encode(), 0o600)
    else:
        durable.remove(keep)


def undo(keep: str) -> list[str]:
    """Put every file back as it was before `make`; returns them. Raises SetupError."""
    kept = _kept(keep)
    if not kept:
        raise SetupError(f"there is nothing to undo: {keep} does not exist")
    for path, states in kept.items():
        now = _read(path)
        if now not in (states["before"], states.get("after", now)):
            if command := _changed_by(path, now, keep):
                words = f"{path} has been changed since by mdeliver; {command} takes that back"
                raise SetupError(f"{words}: first that, then this again")
            raise SetupError(
                f"{path} has been changed since: take back by hand what you do not want "
                f"({keep} has what was there before)"
            )
    _put_back({path: states["before"] for path, states in kept.items()})
    durable.remove(keep)
    return list(kept)


def _changed_by(path: str, now: str | None, keep: str) -> str:
    """The command that takes back what made PATH what it is NOW; "" if that was none of ours."""
    for directory in (os.path.dirname(path), os.path.dirname(TAGS_PATH)):
        for name, command in _UNDONE_BY.items():
            other = f"{directory}/{name}"
            try:
                states = {} if other == keep else _kept(other).get(path, {})
            except (OSError, SetupError):
                continue  # only a better message
            if "after" in states and states["after"] == now:
                return command
    return ""


def _read(path: str) -> str | None:
    if not os.path.exists(path):
        return None
    return durable.read_file(path, _BYTES).decode("utf-8", "surrogateescape")


def _put_back(texts: Before) -> None:
    for path, text in texts.items():
        if _read(path) == text:
            continue
        if text is None:
            durable.remove(path)
        else:
            rewrite(path, text.encode("utf-8", "surrogateescape"))


def is_running(postfix: Postfix) -> bool:
    """Whether the mail system is up."""
    try:
        postfix.run("postfix", "status")
    except PostfixError:
        return False
    return True

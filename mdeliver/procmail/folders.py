"""Folders of procmail's as mailboxes with names, and the folders in them.

Layouts     DEFAULT ending in `/` and folders `.Name/` below it are Maildir++: one mailbox `imap`.
            Folders `name/` below MAILDIR are a directory of Maildirs, `name` one of mboxes.
Kept        `MAILBOX/FOLDER` means the same path as procmail's; where it could not, the path is
            written outright.
"""

from __future__ import annotations

import posixpath
import re

from mdeliver.folders import decode_name, encode_name, safe_step
from mdeliver.procmail.wording import END, REF, SHORT_YEAR, Unsayable, quote, readable, ref
from mdeliver.record import Record

HOME = f"{REF}home{END}"

_PLAIN_STEP = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+@&!~")
OF_DELIVERY = ("user", "home", "year", "month", "day", SHORT_YEAR)
"""Braces that no message fills."""


MH = "an MH folder"
"""Why a recipe is not carried over that files into one."""


_IN_MAILDIR = re.compile(r"(?<=[^/])/(?:new|cur)/?")


def whole_maildir(path: str) -> str:
    """The Maildir whose `new` PATH is, else PATH: many name that, and procmail files there."""
    found = _IN_MAILDIR.search(path)
    return path[: found.start()] + "/" if found and found.end() == len(path) else path


class Whose(Record):
    """Whose file is converted: where `/home/ann` stands for their home directory.

    user, home  "" where it is for many
    """

    user: str = ""
    home: str = ""

    def from_home(self, path: str) -> str:
        """PATH as seen from the home directory, where it is written out."""
        spelled = [self.home] if self.home.strip("/") else []
        if spelled and self.home.rpartition("/")[2] == self.user:
            spelled.append(f"{self.home.rpartition('/')[0]}/{ref('user')}")
        for home in spelled:
            if path == home or path.startswith(home + "/"):
                return HOME + path[len(home) :]
        return path


NOBODY = Whose()


class Mailboxes:
    """The mailboxes of one file, made as they are needed."""

    def __init__(self, whose: Whose) -> None:
        self.whose = whose
        self.by_store: dict[tuple[str, str], str] = {}
        """Names by kind and path."""
        self.default = ""
        self.inbox: str | None = None
        """What `inbox` is, None for the built-in one."""
        self.first_base = ""
        """The MAILDIR that the first folder was below."""
        self.mh: list[str] | None = None
        """Folders of MH that were taken for Maildirs, for the rule that comes nearest; or None."""

    def set_default(self, path: str) -> None:
        """DEFAULT is PATH, absolute: where what no rule took goes."""
        path = whole_maildir(self.whose.from_home(path))
        if path.endswith("/"):
            self.default = _clean(path)
            self.inbox = self._named("maildir", self.default, "imap")
        elif path:
            self.default = _clean(path)
            self.inbox = self._named("mbox", self.default, "pop3" if "/var/" in path else "box")

    def target(self, path: str, maildir_directory: str) -> str:
        """PATH, absolute, as a target."""
        if path.endswith("/."):
            if self.mh is None:
                raise Unsayable(MH)
            clean = _clean(self.whose.from_home(path))
            self.mh.append(clean)
            return f"maildir {quote(_tilde(clean))}"
        path = whole_maildir(self.whose.from_home(path))
        is_maildir = path.endswith("/")
        clean = _clean(path)
        if self.inbox is not None and clean == self.default:
            return "inbox"
        kind = "maildir" if is_maildir else "mbox"
        if is_maildir and (found := self._maildirpp(clean)):
            return found
        base = _clean(self.whose.from_home(maildir_directory))
        if clean.startswith(base + "/"):
            steps = clean[len(base) + 1 :].split("/")
            if all(_can_be_step(step) for step in steps):
                name = self._named(kind, f"{base}/{REF}folder{END}", self._wish(base))
                return f"{name}/" + "/".join([_step(step) for step in steps])
        return f"{kind} {quote(_tilde(clean))}"

    def _maildirpp(self, clean: str) -> str:
        """`.Lists.dev` below a Maildir, "" where CLEAN is something else."""
        parent, _, last = clean.rpartition("/")
        if not last.startswith(".") or not parent or last in (".", ".."):
            return ""
        steps = _split_dots(last[1:])
        if _has_let(last) or any(not step for step in steps):
            return ""
        name = self._named("maildir", parent, "imap")
        return f"{name}/" + "/".join([_step(step) for step in steps])

    def _wish(self, base: str) -> str:
        """A name for the folders below BASE: that of another MAILDIR than the first says which."""
        self.first_base = self.first_base or base
        last = base.rpartition("/")[2]
        is_plain = last.isascii() and last.isalnum()
        return f"mail_{last.lower()}" if base != self.first_base and is_plain else "mail"

    def _named(self, kind: str, path: str, wish: str) -> str:
        key = kind, path
        name = self.by_store.get(key)
        if name is None:
            taken = set(self.by_store.values())
            names = [wish, f"{wish}_{kind}", *[f"{wish}{n}" for n in range(2, 1000)]]
            name = self.by_store[key] = next(n for n in names if n not in taken)
        return name

    def definitions(self, body: list[str]) -> list[str]:
        """The lines that define what the rules in BODY use."""
        rules = "\n".join([line for line in body if not line.lstrip().startswith("#")])
        lines = [
            f"mailbox {name} = {kind} {quote(_tilde(path))}"
            for (kind, path), name in self.by_store.items()
            if name == self.inbox or f" {name}/" in rules
        ]
        if self.inbox is not None:
            lines.append(f"inbox = {self.inbox}")
        return lines


def _clean(path: str) -> str:
    return posixpath.normpath(path) if path else path


def _tilde(path: str) -> str:
    """HOME at the beginning as `~`."""
    if path == HOME or path.startswith(HOME + "/"):
        return "~" + path[len(HOME) :]
    return path


def _split_dots(text: str) -> list[str]:
    """TEXT at its dots, those within references left alone."""
    steps = [""]
    inside = False
    for char in text:
        inside = (inside or char == REF) and char != END
        if char == "." and not inside:
            steps.append("")
        else:
            steps[-1] += char
    return steps


def _can_be_step(step: str) -> bool:
    """Whether the step of a folder means the same name in the file system."""
    if REF in step:
        return not step.startswith((".", "~")) and not _has_let(step)
    name = decode_name(readable(step))
    return encode_name(safe_step(name, dots=True)) == readable(step) and step != "INBOX"


def _has_let(step: str) -> bool:
    """Whether a `let` is in STEP: what it holds may be more than one step."""
    names = [piece.partition(END)[0] for piece in step.split(REF)[1:]]
    return any(not name.isdigit() and name not in OF_DELIVERY for name in names)


def _step(step: str) -> str:
    """A folder's step as it stands in a target."""
    if REF not in step:
        step = decode_name(readable(step))
    bare = step.replace(REF, "{").replace(END, "}")
    plain = "".join(
        [piece.partition(END)[2] if n else piece for n, piece in enumerate(step.split(REF))]
    )
    if plain and set(plain) - _PLAIN_STEP - {"."}:
        return quote(step) if step.isascii() else f'"{bare}"'
    return bare

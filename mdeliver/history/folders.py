"""Which Maildir a user means: by its name in the rules, or by its path.

Names      `imap/Lists`, `inbox`: what a rule of these words would file to, by the definitions that
           stand outside of any block.
Paths      begin with `/`, `.` or `~/`, or are no name in the rules.
Fails with FolderError, in words
See also   actions/places.py, replay/trial.py, which asks the same of test cases
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from typing import NamedTuple

from mdeliver import pop3choice
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.folders import maildirpp_name, safe_step
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Do, Program
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.plan import File
from mdeliver.replay.trial import definitions_in
from mdeliver.rulesfile import read_rules, reader, rules_paths
from mdeliver.settings import Site

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_ASKED = "what is asked for"
"""The file that a question stands in; no rules file is called so."""


class FolderError(Exception):
    """There is no such folder, or rules cannot be applied to it."""


class Folder(NamedTuple):
    """A folder of a Maildir, and where what is discarded goes.

    words  as the user called it
    path   the directory with new and cur in it
    root   the Maildir that it is a Maildir++ folder of, else `path`
    trash  the folder for what rules discard
    """

    words: str
    path: str
    root: str
    trash: File


class Places:
    """What names stand for in one user's rules.

    Raises OSError or Deferral where the rules cannot be read, as a delivery would.
    """

    def __init__(self, program: Program, envelope: Envelope, site: Site, override: str | None):
        self._definitions = tuple(definitions_in(program.statements))
        self._tables = program.tables
        self._envelope = envelope
        # What the inbox is, not what POP3 gets of it at the moment.
        self._site = site.replace(pop3_gets=pop3choice.CHOICES[0])
        home, uid = envelope.home, envelope.uid
        self._sources = [
            Source(path, read_rules(path, uid)) for path in rules_paths(home, override)
        ]
        self._reader = reader(home, uid)
        self._rules: dict[str, Do | None] = {}

    def inbox(self, arrived_s: float | None) -> tuple[File, ...]:
        """The places of the inbox for a message that arrived then."""
        return self._files("keep", arrived_s)

    def named(self, words: str) -> tuple[File, ...]:
        """The places that WORDS name; () where the rules have no such name."""
        name, *steps = words.split("/")
        if not _NAME.fullmatch(name) or not all(steps):
            return ()
        # In a quoted text a backslash makes punctuation plain.
        quoted = ['/"' + re.sub(r'([\\"{}])', r"\\\1", step) + '"' for step in steps]
        return self._files(f"file to {name}{''.join(quoted)}", None)

    def _files(self, rule: str, arrived_s: float | None) -> tuple[File, ...]:
        if rule not in self._rules:
            compiled = compile_rules([*self._sources, Source(_ASKED, rule + "\n")], self._reader)
            found = compiled.program.statements if compiled.program else ()
            mine = [s for s in found if isinstance(s, Do) and s.span.file == _ASKED]
            self._rules[rule] = mine[0] if mine else None
        statement = self._rules[rule]
        if statement is None:
            return ()
        program = Program((*self._definitions, statement), self._tables)
        letter = letter_of(b"\n")
        message = Message(letter.head, letter.size, octets=letter.chunks)
        now_s = time.time() if arrived_s is None else arrived_s
        plan = evaluate(program, message, self._envelope, self._site, now_s, explain=False).plan
        return tuple([action for action in plan.actions if isinstance(action, File)])


def find_folder(words: str, trash: str, places: Places, home: str) -> Folder:
    """The folder that WORDS name. Raises FolderError.

    trash  name of the folder for what is discarded, in the same mailbox
    home   what `~` stands for
    """
    found = () if words.startswith(("/", ".", "~")) else places.named(words)
    if found:
        return _by_name(words, trash, places, found)
    path = os.path.abspath(home + words[1:] if words.startswith("~/") else words)
    if not _is_maildir(path):
        name = words.partition("/")[0]
        if _NAME.fullmatch(name) and not words.startswith(("/", ".", "~")):
            raise FolderError(f"the rules have no mailbox {name}, and {path} is no Maildir")
        raise FolderError(f"{path} is no Maildir: it has no directories new and cur")
    above, name = os.path.split(path)
    root = above if name.startswith(".") and _is_maildir(above) else path
    steps = [safe_step(step, dots=False) for step in trash.split("/")]
    below = f"{root}/{maildirpp_name(steps)}"
    return Folder(words, path, root, File("maildir", below, root, None, trash, (), None))


def _by_name(words: str, trash: str, places: Places, found: Iterable[File]) -> Folder:
    maildirs = [file for file in found if file.store == "maildir"]
    if not maildirs:
        raise FolderError(f"{words} is an mbox; rules can be applied to Maildirs")
    if len(maildirs) > 1:
        raise FolderError(f"{words} is {' and '.join(f.path for f in maildirs)}: name one of them")
    (file,) = maildirs
    if not _is_maildir(file.path):
        raise FolderError(f"{words}: there is no Maildir {file.path}")
    thrown = places.named(f"{file.mailbox}/{trash}") if file.mailbox else ()
    if not thrown:
        return find_folder(file.path, trash, places, "")._replace(words=words)
    return Folder(words, file.path, file.root, thrown[0].replace(rule=None))


def _is_maildir(path: str) -> bool:
    return all(os.path.isdir(os.path.join(path, part)) for part in ("new", "cur"))

"""From rules files to a checked Program, or to all errors in them.

Order       the built-in definitions, then each source in turn; later ones see and may shadow the
            definitions of earlier ones. An include's statements stand in the place of its line.
Guarantee   a Program only where no error was found in any file: a message never meets half of
            the rules. Warnings are lints.py's, which a delivery never looks for.
Reads       nothing itself; `read_file` does.
Fails with  findings E317-E319 for includes, E327 and E328 for files of lines, E332 and E333 for
            those of replies; everything else as parser.py and checker.py say.
"""

from __future__ import annotations

from mdeliver import limits, system
from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language import prelude
from mdeliver.language.checker import check
from mdeliver.language.parse_values import plain_text
from mdeliver.language.parser import parse
from mdeliver.language.syntax import Do, If, Include, Program, ReplyWith
from mdeliver.record import Record
from mdeliver.replytext import wrong_reply
from mdeliver.rulesfile import Untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdeliver.language.syntax import Lines, Statement

BUILT_IN = "built-in"
"""What findings and plans call the prelude's text."""


class Source(Record):
    """A rules text and what findings call it, a path that its includes are relative to."""

    path: str
    text: str


class Compiled(Record):
    """A program, or why there is none: it is None exactly when a finding is an error."""

    program: Program | None
    findings: tuple[Diagnostic, ...]


def compile_rules(
    sources: Sequence[Source],
    read_file: Callable[[str], str],
    *,
    first: Sequence[Source] = (),
) -> Compiled:
    """Parse and check SOURCES, the site's before the user's.

    read_file  gives an included file's text; raises OSError or Untrusted. A path that begins with
               "~/" is handed on as it stands.
    first      sources of definitions that come even before those, but after the built-in ones
    """
    loader = _Loader(read_file)
    statements = list(loader.load(Source(BUILT_IN, prelude.BUILT_IN), 0))
    for source in (*first, *sources):
        statements += loader.load(source, 0)
    if not sources:
        # Numbered as if it followed the definitions in one file.
        lines_before = prelude.BUILT_IN.count("\n") + 1
        statements += loader.load(Source(BUILT_IN, "\n" * lines_before + prelude.SENT_COPIES), 0)
    findings = loader.findings
    findings += check(statements, loader.texts, findings)
    if findings:
        order = list(loader.texts)
        findings.sort(key=lambda f: (order.index(f.place.file), f.place.line, f.place.column))
        # A file that is included twice has its errors once.
        return Compiled(None, tuple(dict.fromkeys(findings)))
    tables, replies = tuple(loader.tables.values()), tuple(loader.replies.values())
    return Compiled(Program(tuple(statements), tables, replies), ())


class _Loader:
    """Parses sources and whatever they include."""

    __slots__ = ("findings", "included", "read_file", "reading", "replies", "tables", "texts")

    def __init__(self, read_file: Callable[[str], str]) -> None:
        self.read_file = read_file
        self.findings: list[Diagnostic] = []
        self.texts: dict[str, str] = {}
        self.reading: list[str] = []
        """The files that are open around the present one, outermost first."""
        self.included = 0
        self.tables: dict[tuple[str, str], tuple[str, str, str]] = {}
        self.replies: dict[tuple[str, str], tuple[str, str, str]] = {}

    def load(self, source: Source, depth: int) -> tuple[Statement, ...]:
        """The statements of SOURCE, DEPTH blocks deep, with all includes read."""
        self.texts[source.path] = source.text
        parsed = parse(source.text, source.path, depth)
        self.findings += parsed.findings
        for lines in parsed.lines_of:
            self._table(lines)
        if "reply" in source.text:
            self._replies(parsed.statements)
        if not parsed.has_includes:
            return parsed.statements
        self.reading.append(system.normal(source.path))
        statements = self._resolve(parsed.statements, depth)
        self.reading.pop()
        return statements

    def _resolve(self, statements: Iterable[Statement], depth: int) -> tuple[Statement, ...]:
        resolved: list[Statement] = []
        for statement in statements:
            if isinstance(statement, Include):
                statement = statement.replace(body=self._include(statement, depth))
            elif isinstance(statement, If):
                branches = tuple(
                    [b.replace(block=self._resolve(b.block, depth + 1)) for b in statement.branches]
                )
                otherwise = statement.otherwise
                if otherwise is not None:
                    otherwise = self._resolve(otherwise, depth + 1)
                statement = statement.replace(branches=branches, otherwise=otherwise)
            resolved.append(statement)
        return tuple(resolved)

    def _table(self, lines: Lines) -> None:
        """Read the file that `lines of` names."""
        written = plain_text(lines.path)
        file = lines.span.file
        if written is None or (file, written) in self.tables:
            return  # braces are the checker's to complain of
        self.tables[file, written] = file, written, ""
        path = _beside(file, written)
        text = self._read(path, written, lines.path.span, "E327", "read")
        if text is not None:
            from mdeliver.language.tables import table_of

            values, findings = table_of(text, path)
            self.tables[file, written] = file, written, values
            if findings:
                self.findings += findings
                self.texts[path] = text

    def _replies(self, statements: Iterable[Statement]) -> None:
        """Read the files that `reply with file` names in STATEMENTS."""
        for statement in statements:
            if isinstance(statement, If):
                for branch in statement.branches:
                    self._replies(branch.block)
                self._replies(statement.otherwise or ())
            elif isinstance(statement, Do):
                reply = statement.action
                if isinstance(reply, ReplyWith) and reply.is_file:
                    self._reply(reply)

    def _reply(self, reply: ReplyWith) -> None:
        written = plain_text(reply.text)
        file = reply.span.file
        if written is None or (file, written) in self.replies:
            return  # braces are the checker's to complain of
        self.replies[file, written] = file, written, ""
        place = reply.text.span
        text = self._read(_beside(file, written), written, place, "E332", "read")
        if text is not None:
            self.replies[file, written] = file, written, text
            wrong = wrong_reply([(False, text)])
            if wrong:
                self._report("E333", f"{written}: {wrong}", place, "")

    def _read(self, path: str, written: str, place: Span, code: str, verb: str) -> str | None:
        """The text of the file PATH, as WRITTEN at PLACE; None with a finding of CODE."""
        if not written or "\0" in written:
            self._report(code, "no file", place, "")
            return None
        try:
            return self.read_file(path)
        except Untrusted as untrusted:
            self._report(code, f"cannot {verb} {written}: {untrusted}", place, "")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            hint = f"looked for {path}" if path != written else ""
            self._report(code, f"cannot {verb} {written}: {reason}", place, hint)
        return None

    def _include(self, include: Include, depth: int) -> tuple[Statement, ...]:
        written = plain_text(include.path)
        place = include.path.span
        if written is None:
            self._report("E316", "an included file is named without braces", place, "")
            return ()
        path = _beside(include.span.file, written)
        self.included += 1
        if system.normal(path) in self.reading:
            hint = "included already: " + " includes ".join(self.reading)
            self._report("E318", f"{written} includes itself", place, hint)
        elif len(self.reading) > limits.INCLUDE_DEPTH:
            message = f"files include one another more than {limits.INCLUDE_DEPTH} deep"
            self._report("E319", message, place, "")
        elif self.included > limits.INCLUDES:
            message = f"more than {limits.INCLUDES} files are included"
            self._report("E319", message, place, "")
        else:
            text = self._read(path, written, place, "E317", "include")
            if text is not None:
                return self.load(Source(path, text), depth)
        return ()

    def _report(self, code: str, message: str, place: Span, hint: str) -> None:
        source = self.texts[place.file].split("\n")[place.line - 1].removesuffix("\r")
        self.findings.append(Diagnostic(code, "error", message, place, source, hint))


def _beside(file: str, written: str) -> str:
    """The path WRITTEN in FILE: relative to it, unless it says from where."""
    if written.startswith(("/", "~/")):
        return written
    return system.join(system.dirname(file), written)

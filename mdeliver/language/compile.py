"""From rules files to a checked Program, or to all errors in them.

Order       the built-in definitions, then each source in turn; later ones see and may shadow the
            definitions of earlier ones. An include's statements stand in the place of its line.
Guarantee   a Program only where no error was found in any file: a message never meets half of
            the rules. Warnings are lints.py's, which a delivery never looks for.
Reads       nothing itself; `read_file` does.
Fails with  findings E317-E319 for includes; everything else as parser.py and checker.py say.
"""

from __future__ import annotations

from mdeliver import limits, system
from mdeliver.diagnostic import Diagnostic
from mdeliver.language import prelude
from mdeliver.language.checker import check
from mdeliver.language.parse_values import plain_text
from mdeliver.language.parser import parse
from mdeliver.language.syntax import If, Include, Program
from mdeliver.record import Record
from mdeliver.rulesfile import Untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdeliver.language.syntax import Statement

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
    return Compiled(Program(tuple(statements)), ())


class _Loader:
    """Parses sources and whatever they include."""

    __slots__ = ("findings", "included", "read_file", "reading", "texts")

    def __init__(self, read_file: Callable[[str], str]) -> None:
        self.read_file = read_file
        self.findings: list[Diagnostic] = []
        self.texts: dict[str, str] = {}
        self.reading: list[str] = []
        """The files that are open around the present one, outermost first."""
        self.included = 0

    def load(self, source: Source, depth: int) -> tuple[Statement, ...]:
        """The statements of SOURCE, DEPTH blocks deep, with all includes read."""
        self.texts[source.path] = source.text
        parsed = parse(source.text, source.path, depth)
        self.findings += parsed.findings
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

    def _include(self, include: Include, depth: int) -> tuple[Statement, ...]:
        written = plain_text(include.path)
        if not written or "\0" in written:
            message = "an included file is named without braces" if written is None else "no file"
            self._report("E316" if written is None else "E317", message, include, "")
            return ()
        path = written
        if not written.startswith(("/", "~/")):
            path = system.join(system.dirname(include.span.file), written)
        self.included += 1
        if system.normal(path) in self.reading:
            hint = "included already: " + " includes ".join(self.reading)
            self._report("E318", f"{written} includes itself", include, hint)
        elif len(self.reading) > limits.INCLUDE_DEPTH:
            message = f"files include one another more than {limits.INCLUDE_DEPTH} deep"
            self._report("E319", message, include, "")
        elif self.included > limits.INCLUDES:
            message = f"more than {limits.INCLUDES} files are included"
            self._report("E319", message, include, "")
        else:
            try:
                text = self.read_file(path)
            except Untrusted as untrusted:
                self._report("E317", f"cannot include {written}: {untrusted}", include, "")
            except OSError as error:
                reason = error.strerror or type(error).__name__
                hint = f"looked for {path}" if path != written else ""
                self._report("E317", f"cannot include {written}: {reason}", include, hint)
            else:
                return self.load(Source(path, text), depth)
        return ()

    def _report(self, code: str, message: str, include: Include, hint: str) -> None:
        place = include.path.span
        source = self.texts[place.file].split("\n")[place.line - 1].removesuffix("\r")
        self.findings.append(Diagnostic(code, "error", message, place, source, hint))

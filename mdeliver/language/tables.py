"""Files of values: what `lines of "FILE"` reads.

    one value a line; white space around it does not count
    # opens a comment at a line's start or after white space, as in rules; blank lines are nothing

A value is a text as it stands: no quotes, no braces, no escapes; beside `matches` it is a glob.
Fails with  findings E327 (the file) and E328 (a line of it), with the file's own lines.
Cost        100 000 lines take some 20 ms when rules are compiled, and are kept with them.
See also    compile.py, which asks for it; conditions/tables.py, which looks values up
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.diagnostic import Diagnostic, Span


def table_of(text: str, file: str) -> tuple[str, list[Diagnostic]]:
    """The values in TEXT, the content of FILE, joined by line ends; and what is wrong with it."""
    findings: list[Diagnostic] = []
    rows = text.removeprefix("\ufeff").split("\n")
    values = [value for row in rows if (value := row.strip())]
    if "#" in text:
        values = [value for row in values if (value := _without_comment(row))]
    joined = "\n".join(values)
    # All at once, and line by line only where something is wrong.
    if (
        '"' in joined
        or not joined.replace("\n", "").isprintable()
        or max(map(len, values), default=0) > limits.TABLE_LINE
    ):
        for number, row in enumerate(rows, 1):
            value = _without_comment(row.strip())
            message, hint = _wrong(value)
            if message and len(findings) < limits.FINDINGS:
                column = row.index(value[0]) + 1
                place = Span(file, number, column, min(column + len(value), len(row) + 1))
                source = row.rstrip("\r")
                findings.append(Diagnostic("E328", "error", message, place, source, hint))
    return joined, findings


def _without_comment(row: str) -> str:
    if "#" not in row:
        return row
    at = row.find("#")
    while at > 0 and not row[at - 1].isspace():
        at = row.find("#", at + 1)
    return row if at < 0 else row[:at].rstrip()


def _wrong(value: str) -> tuple[str, str]:
    """What is wrong with VALUE, and how to mend it."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        return "a line of a file is a text without quotes", "write it without them"
    if any(c < " " or c == "\x7f" for c in value):
        return "a control character or tab within a line", "one value stands on a line"
    if len(value) > limits.TABLE_LINE:
        return f"a line of more than {limits.TABLE_LINE} characters", "one value stands on a line"
    return "", ""

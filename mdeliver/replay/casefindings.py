"""What is wrong in a file of cases, and what it means that one does not hold: codes C1xx.

`mdeliver check --explain CODE` shows an entry. Codes are stable, as those of rules.

See also  cases.py; language/findings.py for rules
"""

from __future__ import annotations

CASE_FINDINGS: dict[str, tuple[str, str]] = {
    "C101": (
        "a line that belongs to no message",
        'What is indented is part of the message above it, and a case begins with message "what it'
        ' shows": at the beginning of a line. What must become of a message stands below it, not'
        " indented.",
    ),
    "C102": (
        "a line that says nothing",
        "A line that is not indented is message, rules, required, something about the delivery"
        " (user, home, sender, recipient, extension, submitted by, arrived, size), or what must"
        " become of the message: files to imap/Junk, keeps, forwards to, pipes to, runs, filters"
        " through, sets header, adds header, removes header, replies, logs, rejects, defers,"
        " discards; also or does not may stand before it (does not file to imap/Junk).",
    ),
    "C103": (
        "nothing is expected",
        "A case without an expectation holds whatever happens. Write below the message what must"
        " become of it.",
    ),
    "C104": (
        "a message that cannot be read",
        'A message is written out below message "title": or is in a file: message "title" in'
        ' "FILE". It cannot be both. The file is relative to the file of cases.',
    ),
    "C105": (
        "something said in the wrong place, or that cannot be",
        "rules and required stand before the first message, since they hold for all of them. A day"
        " is written 2026-08-01, a time 22:00.",
    ),
    "C106": (
        "a case does not hold",
        "By these rules something else becomes of the message than the case says. Either the rules"
        " are wrong or the case is: mdeliver test --cases FILE says what happens instead, and why."
        " While cases are required, the rules are not taken into use.",
    ),
    "C107": (
        "cases that take too long",
        "While cases are required they are tried in a delivery, once for each change. It does not"
        " wait for more of them than a delivery can bear: move some of them to another file.",
    ),
}
"""Code to title and explanation."""

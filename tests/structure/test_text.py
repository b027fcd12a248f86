"""No file says "later", names a machine or a registry's host, or ends without a newline."""

from __future__ import annotations

import re

from tests.structure.source import ROOT
from tests.structure.test_size import tracked

# Spelt in pieces, so that this file does not find itself.
_UNWANTED = re.compile(
    "|".join(
        (
            r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
            r"(?<![\w.])/(?:wor" + r"k|ro" + r"ot|far" + r"m)/",
            r"(?:pypi|python" + r"hosted|npm" + r"js)\.org",
            r"deb\.deb" + r"ian\.org",
        )
    )
)
_BINARY = frozenset({".eml", ".png", ".gz", ".mbox"})


def test_no_unwanted_words() -> None:
    found = []
    for path in tracked():
        if path.suffix in _BINARY:
            continue
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            if match := _UNWANTED.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found, "\n".join(found)


def test_text_files_end_with_a_newline() -> None:
    texts = [p for p in tracked() if p.suffix in (".py", ".toml", ".md", ".c", ".h", ".txt")]
    assert [str(p) for p in texts if p.stat().st_size and not p.read_bytes().endswith(b"\n")] == []

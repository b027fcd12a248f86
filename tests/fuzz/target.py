"""What a target of the fuzzer is, and where its octets are kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from unicodedata import category

TESTS = Path(__file__).resolve().parents[1]

FOUND = TESTS / "cases" / "fuzz"
"""What broke a target once: FOUND/TARGET/NAME."""

SECONDS = 2.0
"""CPU time that one input of a few KB may take, instrumentation included."""


class Target(NamedTuple):
    """One reader.

    attack  reads octets; raises where a promise is broken: an exception that the reader does not
            document, or an answer that could do harm
    seeds   gives octets that are read to good effect, to begin with
    words   pieces that such octets are made of
    """

    attack: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...]


def found(name: str) -> list[Path]:
    """What broke the target NAME once."""
    directory = FOUND / name
    return sorted(directory.iterdir()) if directory.is_dir() else []


def case_texts(kind: str) -> Iterator[bytes]:
    """The texts, and sections, of tests/cases/KIND."""
    from tests.casefile import cases

    for case in cases(kind):
        yield case.text.encode()
        yield from (section.encode() for section in case.sections.values())


def messages() -> Iterator[bytes]:
    """The messages of tests/messages."""
    return (path.read_bytes() for path in sorted((TESTS / "messages").glob("*.eml")))


@contextmanager
def directory() -> Iterator[str]:
    """A directory for one input, in memory where there is such a file system."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mdeliver-fuzz-", dir=shared) as made:
        yield made


def write(path: str, octets: bytes) -> str:
    """Make a file of one's own, as mdeliver makes its own."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as file:
        file.write(octets)
    return path


def read(path: str) -> bytes:
    """What the file PATH holds."""
    with open(path, "rb") as file:
        return file.read()


def is_printable(text: str) -> bool:
    """Whether a terminal obeys nothing in TEXT, and shows it in its order on its line."""
    return text.isprintable() or all(
        c.isprintable() or category(c) in ("Zs", "Cn", "Co") for c in text
    )


def no_control(text: str) -> bool:
    """Whether no control character is in TEXT but ends of lines and tabs."""
    return not any(category(c) == "Cc" and c not in "\n\t" for c in text)


__all__ = [
    "FOUND", "SECONDS", "TESTS", "Target", "case_texts", "directory", "found", "is_printable",
    "messages", "no_control", "read", "suppress", "write",
]  # fmt: skip

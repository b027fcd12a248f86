"""What a bomb is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

MEGABYTE = 1 << 20
PIECE = 64 << 10


class Bomb(NamedTuple):
    """One deed, with the CPU seconds and the megabytes that it may take, Python's own included."""

    deed: Callable[[], None]
    seconds: float
    megabytes: int


def times(piece: bytes, octets: int) -> Iterable[bytes]:
    """OCTETS of PIECE after PIECE, as a socket gives them."""
    block = piece * (PIECE // len(piece))
    return (block for _ in range(octets // len(block)))

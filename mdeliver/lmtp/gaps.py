"""No gaps among the objects of the master, before workers are forked.

Why       the interpreter makes a small object in the first gap of its size, and imports leave gaps
          all over the memory that workers share with the master: whatever a worker makes there
          gives it a page of its own. Where all gaps are filled new objects stand beside one
          another, in pages that hold nothing else: 0.4 MB less for each worker
How       objects are made until those of a size fill one pool after another (Objects/obmalloc.c);
          an interpreter that does it in another way gains nothing, and loses little
Bounds    256 KB for each size, 8 MB in all; 0.6 MB as a rule
Fails with  MemoryError
See also  cli/lmtp.py, which alone has a use for it; rehearsal.py
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = range(48, 513, 16)
"""Of small objects; those that are smaller still are few."""
_POOL_BYTES = 16 << 10
_POOL_HEAD_BYTES = 48
_MOST_BYTES = 256 << 10
"""So much of one size at most."""


@contextmanager
def gaps_filled() -> Iterator[None]:
    """No gaps as they are now, as long as this lasts."""
    gc.collect()
    fillers = [_fillers(size) for size in _SIZES]
    yield
    del fillers


def _fillers(size: int) -> list[bytes]:
    """Objects of SIZE octets in all gaps that there are, and one pool more."""
    found = []
    octets = size - sys.getsizeof(b"")
    of_a_pool = (_POOL_BYTES - _POOL_HEAD_BYTES) // size
    pool, in_a_row = -1, 0
    for _ in range(_MOST_BYTES // size):
        one = bytes(octets)
        found.append(one)
        before, pool = pool, id(one) // _POOL_BYTES
        in_a_row = in_a_row + 1 if pool == before else 1
        if in_a_row == of_a_pool:
            break  # it was empty, and those that had gaps come first
    return found

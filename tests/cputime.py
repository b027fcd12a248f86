"""What a deed may take of the processor: so much that only what grows out of proportion takes more.

A busy machine makes some times what it is otherwise of CPU time, too, since caches are shared. So
limits are many times what was measured; what is quadratic or worse takes minutes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """What is done within takes less than SECONDS of this thread's CPU time.

    Garbage is not collected meanwhile: that would take as long as the test runner's own heap wants.
    """
    gc.disable()
    began_s = time.thread_time()
    try:
        yield
        taken_s = time.thread_time() - began_s
    finally:
        gc.enable()
    assert taken_s < seconds

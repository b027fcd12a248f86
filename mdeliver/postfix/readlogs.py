"""Read logs with all processors: blocks of lines out, events back, in their order.

How         this process reads and decompresses, workers take lines apart, and what the events mean
            is made out here again, one after the other: no event is ever seen out of its order.
Memory      a few blocks for each worker are on their way at once, however large the logs are.
Fails with  OSError, Broken as logfiles.py does, after the events of all that could be read before;
            WorkerDied where a worker ended early.
"""

from __future__ import annotations

import gc
import signal
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from mdeliver.postfix.condense import condensed
from mdeliver.postfix.events import Event, events
from mdeliver.postfix.logfiles import Block
from mdeliver.postfix.maillog import Clock
from mdeliver.replay.workers import WorkerDied, processors

_ON_THEIR_WAY = 3
"""Blocks for each worker: one that it reads, one that waits, one whose events are being read."""


def events_of(block: Block) -> list[Event]:
    """The events in one block; of messages that came and went in it, one each."""
    return list(condensed(list(events(block.octets, Clock(block.latest_s)))))


def read(
    blocks: Iterable[Block], *, workers: int | None = None
) -> Generator[tuple[Block, list[Event]], None, None]:
    """The events of each of BLOCKS, in order; the block comes with them, without its octets.

    workers  processes; 0 for none but this one, None for as many as there are processors
    """
    count = processors() if workers is None else workers
    if count == 0:
        for block in blocks:
            yield block._replace(octets=b""), events_of(block)
        return
    pool = ProcessPoolExecutor(count, get_context("fork"), initializer=_prepare)
    waiting: deque[tuple[Block, Future[list[Event]]]] = deque()
    trouble: Exception | None = None
    try:
        source = iter(blocks)
        while True:
            while trouble is None and len(waiting) < count * _ON_THEIR_WAY:
                try:
                    block = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    trouble = error
                    break
                waiting.append((block._replace(octets=b""), pool.submit(events_of, block)))
            if not waiting:
                break
            block, answer = waiting.popleft()
            yield block, answer.result()
    except BrokenProcessPool:
        raise WorkerDied("a worker process ended before its work was done") from None
    finally:
        pool.shutdown(cancel_futures=True)
    if trouble is not None:
        raise trouble


def _prepare() -> None:
    # Ctrl-C reaches the whole process group; the parent alone says what is to be said.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()

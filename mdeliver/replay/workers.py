"""Ask about many messages with all processors, and answer in order.

How         worker processes are forked when everything is loaded, so that rules are compiled once
            and nothing but answers is ever pickled; worker k of n takes every n-th chunk, and the
            answers are fetched chunk by chunk, so that nobody runs far ahead.
Guarantee   the answers come in the order of the questions, whatever the number of workers.
Fails with  WorkerDied where a worker ended early (out of memory, killed): no answer is left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

_CHUNK = 32
"""Questions that travel together."""

_WORTH_FORKING = 8 * _CHUNK
"""Fewer questions than this are answered before another process has started."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class WorkerDied(Exception):
    """A worker process ended before it had answered everything."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def answers(
    questions: Sequence[Question],
    ask: Callable[[Question], Answer],
    *,
    workers: int | None = None,
) -> Iterator[Answer]:
    """ASK's answer to each of QUESTIONS, in their order.

    ask      called in another process if there are many questions; what it returns is pickled,
             and an exception in it is a WorkerDied here
    workers  how many processes; None for as many as there are processors
    """
    count = min(workers or processors(), -(-len(questions) // _CHUNK))
    if count < 2 or (workers is None and len(questions) < _WORTH_FORKING):
        yield from map(ask, questions)
        return
    starts = range(0, len(questions), _CHUNK)
    context = get_context("fork")
    pipes: list[Connection] = []
    processes = []
    try:
        for number in range(count):
            mine, theirs = context.Pipe(duplex=False)
            chunks = [questions[start : start + _CHUNK] for start in starts[number::count]]
            process = context.Process(target=_work, args=(theirs, chunks, ask), daemon=True)
            process.start()
            # Ours alone would keep the pipe open when the worker is gone.
            theirs.close()
            pipes.append(mine)
            processes.append(process)
        for number in range(len(starts)):
            try:
                yield from pipes[number % count].recv()
            except EOFError:
                raise WorkerDied("a worker process ended before its work was done") from None
    finally:
        for process in processes:
            process.terminate()
            process.join()
        for pipe in pipes:
            pipe.close()


def _work(
    pipe: Connection, chunks: Sequence[Sequence[Question]], ask: Callable[[Question], Answer]
) -> None:
    import signal

    # Ctrl-C reaches the whole process group; the parent alone says what is to be said.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for chunk in chunks:
        pipe.send([ask(question) for question in chunk])
    pipe.close()

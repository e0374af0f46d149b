"""Running a function over many files with processes, in order, whatever one of the files does to its process."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run(
    function: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, crashed: Callable[[Job], Result]
) -> Iterator[Result]:
    """The function's result for each job, in the order of the jobs.

    A decoder may crash on a broken file and take its process along; such a job is tried once more in a process of
    its own, and if it crashes that too its result is `crashed(job)`.

    Args:
        function: must be importable by name, as it runs in other processes.
        jobs: what to call it with.
        workers: number of processes; with 1 all is done in this one.
        crashed: makes the result of a job that ends its process.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    done = 0
    while done < len(jobs):
        try:
            for result in _ordered(function, jobs[done:], min(workers, len(jobs) - done)):
                done += 1
                yield result
        except BrokenProcessPool:
            try:
                result = next(_ordered(function, jobs[done : done + 1], 1))
            except BrokenProcessPool:
                result = crashed(jobs[done])
            done += 1
            yield result


def _ordered(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Keeps a few jobs a worker in flight, so that results waiting for a long one ahead of them stay few."""
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for jobs for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Where long jobs run: on this machine's processors, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread, current_thread, main_thread
from typing import Any

from hwgen.base.errors import ConfigError, HwgenError

EXECUTORS = ("local", "dask")
RETRIES = 3
"""How often a job is given to another worker of a cluster when its own dies."""
CONNECT = "10s"
ENDING = (signal.SIGINT, signal.SIGTERM)
_scheduler: ContextVar[str | None] = ContextVar("scheduler", default=None)


@contextmanager
def executor(kind: str, scheduler: str | None) -> Iterator[None]:
    """Within it, `workers` are those of ``kind``: "local", or "dask" with a scheduler's address.

    ConfigError for anything else.
    """
    if kind not in EXECUTORS:
        raise ConfigError(f"--executor: should be {' or '.join(EXECUTORS)}, not {kind!r}")
    if (kind == "dask") != (scheduler is not None):
        raise ConfigError("--scheduler: should be the scheduler's address with --executor dask")
    token = _scheduler.set(scheduler)
    try:
        yield
    finally:
        _scheduler.reset(token)


class Pool(ProcessPoolExecutor):
    """Worker processes that leave Ctrl-C to their parent, and end with it.

    prepare: what each of them does first, with ``arguments``; it can be pickled.
    """

    def __init__(
        self,
        processes: int | None,
        prepare: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
        start: str | None = None,
    ) -> None:
        context = multiprocessing.get_context(start)
        super().__init__(processes, context, _begin_worker, (prepare, *arguments))

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """As of any executor; processes begin here, and a signal waits until they have."""
        with _signals_held():
            return super().submit(*args, **kwargs)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals that would end this process take effect afterwards.

    A process that begins meanwhile has them blocked until `_begin_worker`: an interpreter that is
    interrupted while it starts, or whose parent is, ends with a traceback.
    """
    if current_thread() is not main_thread():  # Where Python handles no signals.
        yield
        return
    seen: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: seen.append(number)) for number in ENDING
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        signal.raise_signal(seen[0])


def _begin_worker(prepare: Callable[..., None] | None, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def ending(pool: Pool) -> Iterator[None]:
    """A pool that is gone when this ends: on Ctrl-C and SIGTERM at once, in the middle of jobs.

    The caller's other processes are left alone; the pool must have begun none before.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def workers() -> Iterator[Executor]:
    """An executor for jobs that can be pickled.

    A job whose worker dies on a cluster is done by another one; on this machine that ends the work.
    HwgenError then, and for a cluster that cannot be reached.
    """
    scheduler = _scheduler.get()
    if scheduler is None:
        pool = Pool(os.cpu_count())
        try:
            with ending(pool):
                yield pool
        except BrokenProcessPool:
            raise HwgenError(
                "a worker process was killed, perhaps because memory ran out; finished work "
                "is kept, run again to resume"
            ) from None
        return
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise HwgenError("--executor dask: pip install 'hwgen[cluster]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise HwgenError(
            f"--scheduler {scheduler}: no Dask scheduler answers ({error}); start one with "
            "`dask scheduler` and workers with `dask worker ADDRESS`"
        ) from None
    with client, client.get_executor(pure=False, retries=RETRIES) as pool:  # type: ignore[no-untyped-call]
        try:
            yield pool
        except KilledWorker as error:
            raise HwgenError(
                f"worker after worker died with a job ({error}); what is done is kept, give the "
                "workers more memory and run again to resume"
            ) from None

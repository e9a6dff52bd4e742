"""Threads that run calls beside the main thread, started only when none is idle."""

from __future__ import annotations

import threading
from _queue import SimpleQueue  # what queue.SimpleQueue is, without the price of importing queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from liongate.call import Call
    from liongate.plugin import Operation
    from liongate.session import Session


class Pool:
    """submit() and finish() belong to the main thread."""

    def __init__(self, session: Session, threads_max: int) -> None:
        self._session = session
        self._threads_max = threads_max
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[tuple[Call, Operation] | None] = SimpleQueue()  # None: there will be no more
        self._guard = threading.Lock()
        self._unfinished = 0  # guarded: calls queued or running

    def submit(self, call: Call, operation: Operation) -> None:
        with self._guard:
            self._unfinished += 1
            all_busy = self._unfinished > len(self._threads)
        if all_busy and len(self._threads) < self._threads_max:
            self._start_thread()
        if self._threads:
            self._queue.put((call, operation))
        else:
            # The system refuses even one thread (a process cap): slower, but never lost.
            self._run(call, operation)

    def finish(self) -> None:
        """Lets everything that was submitted run to its end."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        self._threads.append(thread)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            self._run(*work)

    def _run(self, call: Call, operation: Operation) -> None:
        self._session.run_call(call, operation)
        with self._guard:
            self._unfinished -= 1
        self._session.flush()

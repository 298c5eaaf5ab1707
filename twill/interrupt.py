"""Ctrl-C as an answer: while a schedule is sought it ends the search, not the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_stops() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C was pressed, which inside the block raises nothing.

    The second Ctrl-C raises KeyboardInterrupt, should the first not be heard. Outside the main thread,
    and where the signal is ignored or handled outside Python, nothing changes.
    """
    previous = signal.getsignal(signal.SIGINT)
    pressed = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    if not main or previous is None or previous == signal.SIG_IGN:
        yield pressed.is_set
        return

    def press(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)

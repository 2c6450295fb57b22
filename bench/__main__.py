"""`python -m bench`, and what `bench` and `accelbench` call: ready for Ctrl-C before anything else is loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    sys.unraisablehook = interrupt_again
    try:
        from bench.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(INTERRUPTED)


def interrupt_again(swallowed: UnraisableHookArgs) -> None:
    """Raise an interrupt again that came in a callback of Python's own (a weak reference's, say), and would be lost."""
    if swallowed.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(swallowed)
        return
    import contextlib
    import signal
    import threading

    # To the thread itself: it may have begun to wait for something.
    again = threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    again.daemon = True
    # No thread starts where Python ends anyway.
    with contextlib.suppress(RuntimeError):
        again.start()


if __name__ == "__main__":
    main()

"""The program `mot-perception`, also to be had as `python -m mot_perception`."""

from __future__ import annotations

import sys

from mot_perception.cli.interrupt import FAILED, INTERRUPTED, asked, leave, listen


def run() -> None:
    """Run the program with the arguments of the command line, then leave it."""
    listen()
    try:
        from mot_perception.cli.main import main  # libraries that take time to load

        code = main(sys.argv[1:])
    except BaseException:
        if not asked():
            raise
        sys.stderr.write(f'error: {INTERRUPTED}\n')
        code = FAILED
    leave(code)


if __name__ == '__main__':
    run()

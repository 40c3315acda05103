#!/usr/bin/env python
"""Print versions, mends and what works here: ``python tools/check_environment.py``."""

import sys


def run() -> int:
    """Run the command, even where the package itself cannot be imported."""
    try:
        from sola_plugin.commands.environment import main
    except Exception as error:
        print(f'python: {sys.version}\nerror: sola_plugin cannot be imported: {error!r}')
        return 1
    return main()


if __name__ == '__main__':
    sys.exit(run())

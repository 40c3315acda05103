#!/usr/bin/env python
"""Begin a data set of your own: ``python tools/new_dataset.py DIR``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys

from sola_plugin.commands.template import new_dataset
from sola_plugin.messages import printable


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description='Write an example of a data set of your own: features, annotations, the config '
        'of a localizer behind SoLa, and a page with the commands. It trains in a minute; put your '
        'files in the place of the made ones.'
    )
    parser.add_argument('folder', metavar='DIR', help='new folder')
    args = parser.parse_args()
    try:
        files = new_dataset(args.folder)
    except OSError as error:
        sys.exit(f'error: {printable(error)}')
    print('\n'.join(map(str, files)))
    print(f'Next: sola check-dataset {files[1]}, and what {files[2]} says')


if __name__ == '__main__':
    run_tool(main)

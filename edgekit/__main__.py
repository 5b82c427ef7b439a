"""``python -m edgekit``: the same as the ``edgekit`` program."""

import sys

from edgekit.cli import main

sys.exit(main())

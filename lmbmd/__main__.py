"""``python -m lmbmd``: the same as the ``lmbmd`` command."""

import sys

from lmbmd.cli import main

sys.exit(main())

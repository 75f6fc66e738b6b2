"""``python -m lmbmd``: the same as the ``lmbmd`` command."""

import sys

from lmbmd.cli.parser import main

sys.exit(main())

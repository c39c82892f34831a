"""Allow ``python -m spectral_edge.cli``."""

import sys

from spectral_edge.cli import main

sys.exit(main())

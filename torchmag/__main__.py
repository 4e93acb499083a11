"""`python -m torchmag` is `torchmag`."""

import sys

from torchmag.cli import main

sys.exit(main())

"""`python -m cockpit` is `l4cockpit`."""

import sys

from cockpit.cli import main

sys.exit(main())

"""The screens are loaded before any test, which then need not wait for the frame that is shown
while they are being loaded (test_curtain.py)."""

import cockpit.screens.dashboard
import cockpit.screens.home  # noqa: F401

"""Writes docs/images/dashboard.svg: how the dashboard of a run looks at 120 × 40.

python docs/make_screenshot.py RUNS_DIR RUN
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from cockpit import runs
from cockpit.app import Cockpit

IMAGES = Path(__file__).parent / "images"
SIZE = (120, 40)


async def picture(app: Cockpit) -> str:
    """Open the app without a terminal, let it settle; what it shows, as SVG."""
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(2.0)
        return app.export_screenshot(title="l4cockpit")


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs_dir", type=Path)
    parser.add_argument("run")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    run = runs.find(options.runs_dir, options.run)
    (IMAGES / "dashboard.svg").write_text(asyncio.run(picture(Cockpit(options.runs_dir, run))))


if __name__ == "__main__":
    main()

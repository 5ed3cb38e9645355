"""W&B LEET beside the cockpit: runs for it to show. Only used where a Python with wandb is named.

LEET reads the `.wandb` file of an offline run; that file is written here by wandb itself.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_LOG = """
import math, random, sys, time, wandb
folder, steps, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
settings = wandb.Settings(mode="offline", silent=True, x_disable_stats=True, console="off")
run = wandb.init(project="bench", dir=folder, settings=settings)
print(run.dir, flush=True)
due = time.monotonic()
for n in range(1, steps + 1):
    loss = 2.1 + 6.2 * (1 + n / 6) ** -0.7 + random.gauss(0, 0.06)
    norm = abs(random.gauss(0.9, 0.2))
    run.log({"loss": loss, "lr": 3e-3, "grad_norm": norm, "clock": time.time()})
    if rate:
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))
run.finish()
"""


def leet_run(python: str, folder: Path, steps: int) -> Path:
    """The folder of an offline run of so many steps, written now."""
    folder.mkdir(parents=True)
    subprocess.run(
        [python, "-c", _LOG, str(folder), str(steps), "0"], check=True, env=_quiet(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return folder / "wandb"


def leet_live(python: str, folder: Path, rate: float) -> subprocess.Popen[bytes]:
    """A run that grows by `rate` steps a second until it is killed."""
    folder.mkdir(parents=True)
    process = subprocess.Popen(
        [python, "-c", _LOG, str(folder), "1000000", str(rate)], env=_quiet(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    return process


def leet(python: str, folder: Path) -> list[str]:
    """The command that shows the newest run of a folder."""
    found = sorted(folder.glob("offline-run-*"))
    return [str(Path(python).with_name("wandb")), "leet", str(found[-1] if found else folder)]


def _quiet() -> dict[str, str]:
    return os.environ | {"WANDB_SILENT": "true", "WANDB_MODE": "offline"}

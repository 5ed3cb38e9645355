"""Loads a checkpoint with no more private memory than this process has and so many bytes.

python load_in_little_memory.py FOLDER BYTES: the kernel enforces it (RLIMIT_DATA counts what is
allocated, and a file while it is mapped). First in NF4, then in bfloat16; prints what became of
each.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, Llama4ForCausalLM

from trainer.llama4.quant import format_of, load_quantized


def main(folder: Path, room: int) -> None:
    torch.set_num_threads(1)
    text = AutoConfig.from_pretrained(folder)
    format_of("nf4").encode(torch.ones(64 * 1024))  # what is needed once, whatever is loaded
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    data = next(line.split()[1] for line in status.splitlines() if line.startswith("VmData:"))
    limit = int(data) * 1024 + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    cpu = torch.device("cpu")
    attempt("nf4", lambda: load_quantized(folder, text, "nf4", torch.float32, cpu, "sdpa"))
    attempt("bfloat16", lambda: Llama4ForCausalLM.from_pretrained(folder, dtype=torch.bfloat16))


def attempt(name: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (RuntimeError, MemoryError) as error:
        print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
        print(f"{name} refused")
    else:
        print(f"{name} loaded")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

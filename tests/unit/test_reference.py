"""The reference pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_pages_are_what_the_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    again = "run: python docs/make_reference.py"
    assert (DOCS / "messages.md").read_text(encoding="utf-8") == script.messages_page(), again
    assert (DOCS / "presets.md").read_text(encoding="utf-8") == script.presets_page(), again

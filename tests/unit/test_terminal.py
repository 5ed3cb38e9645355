"""What a terminal can show, by what it says of itself."""

import pytest

from cockpit import terminal
from cockpit.terminal import DEPTHS, Terminal


@pytest.mark.parametrize(
    ("environment", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "true"),
        ({"TERM": "xterm-direct"}, "true"),
        ({"TEXTUAL_COLOR_SYSTEM": "truecolor"}, "true"),  # in a browser
        ({"TERM": "tmux-256color"}, "256"),
        ({"TERM": "xterm-kitty"}, "256"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "xterm-color"}, "16"),
        ({"TERM": "screen"}, "16"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "vt220"}, "none"),
        ({"TERM": "dumb"}, "none"),
        ({}, "none"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
    ],
)
def test_how_many_colours_there_are(environment: dict[str, str], depth: str) -> None:
    assert terminal.depth_of(environment) == depth


@pytest.mark.parametrize("depth", DEPTHS)
def test_textual_is_told(depth: terminal.Depth) -> None:
    environment = {"NO_COLOR": "", "TERM": "xterm"}
    before = terminal.in_use()
    try:
        terminal.prepare(Terminal(depth), environment)
        assert terminal.in_use().depth == depth
    finally:
        terminal.use(before)
    assert ("NO_COLOR" in environment) == (depth == "none")
    assert environment["TEXTUAL_COLOR_SYSTEM"] in ("truecolor", "256", "standard")


@pytest.mark.parametrize(
    ("told", "theme"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;15", "light"), ("", "dark")],
)
def test_a_light_background_is_known_where_the_terminal_tells(told: str, theme: str) -> None:
    assert terminal.detect({"COLORFGBG": told}).theme == theme


@pytest.mark.parametrize(
    ("environment", "lacks"),
    [
        ({}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"TERM": "linux", "LANG": "de_DE.UTF-8"}, True),
        (
            {
                "TERM": "linux",
                "LANG": "C",
                "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            },
            False,
        ),
    ],
)
def test_a_locale_without_utf_8_and_an_old_console_have_ascii_alone(
    environment: dict[str, str], lacks: bool
) -> None:
    assert terminal.detect(environment).ascii == lacks


def test_over_ssh_bytes_are_spared() -> None:
    assert terminal.detect({"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}).slow
    assert not terminal.detect({}).slow

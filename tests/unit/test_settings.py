"""The settings file: what it may say, and what is said of what it may not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit import keys, settings
from cockpit.settings import Settings, SettingsError


def test_where_it_is(tmp_path: Path) -> None:
    home = Path("/home/me")
    assert settings.path({}, home) == home / ".config/l4cockpit/settings.yaml"
    there = settings.path({"XDG_CONFIG_HOME": str(tmp_path)}, home)
    assert there == tmp_path / "l4cockpit/settings.yaml"
    assert settings.path({"XDG_CONFIG_HOME": "not/absolute"}, home).is_relative_to(home)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "theme:  auto\n"])
def test_what_is_not_said_is_as_usual(text: str) -> None:
    assert settings.parse(text) == Settings()


def test_without_a_file_all_is_as_usual(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "none.yaml") == Settings()


def test_words_that_yaml_takes_for_something_else() -> None:
    assert settings.parse("colours: 256").terminal({}).depth == "256"
    assert settings.parse("colours: true").terminal({}).depth == "true"
    assert settings.parse("colours: none").terminal({"TERM": "xterm-256color"}).depth == "none"
    assert settings.parse("ascii: yes").terminal({}).ascii
    assert not settings.parse("ascii: no").terminal({"LC_ALL": "C"}).ascii
    assert not settings.parse("low_bandwidth: false").terminal({"SSH_CONNECTION": "x"}).slow
    assert settings.parse("low_bandwidth: true").terminal({}).slow
    assert settings.parse("mute: on").mute == "true"


def test_settings_go_before_what_the_terminal_says_and_options_before_settings() -> None:
    says = {"TERM": "xterm-256color", "COLORFGBG": "0;15"}
    wanted = settings.parse("theme: dark\ncolours: 16")
    assert (wanted.terminal(says).theme, wanted.terminal(says).depth) == ("dark", "16")
    wanted = wanted.but({"theme": "light", "command": "attach"})
    assert (wanted.terminal(says).theme, wanted.terminal(says).depth) == ("light", "16")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme: blue", "theme: 'blue' is none of auto, dark, light"),
        ("colours: 512", "colours: 512 is none of auto, true, 256, 16, none"),
        ("colour: 16", "no setting 'colour'"),
        ("- theme", "not a list of `name: value`"),
        ("theme: [", "line 1: "),
        ("theme: 2026-99-99", "no YAML"),
        ("mute: maybe", "mute: 'maybe' is none of true, false"),
        ("keys: p", "keys: not a list"),
        ("keys: {fly: f}", "keys: no action 'fly'; there are pause"),
        ("keys: {pause: c}", "keys: 'c' would be both pause and checkpoint"),
        ("keys: {pause: pp}", "keys: pause: 'pp' is no key"),
        ("keys: {pause: ctrl+c}", "keys: pause: 'ctrl+c' has another meaning"),
        ("keys: {pause: '1'}", "keys: pause: '1' has another meaning"),
    ],
)
def test_a_bad_value_is_told_in_one_line_with_the_file(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        settings.load(file)
    assert str(told.value).startswith(f"{file}: {said}")
    assert "\n" not in str(told.value)


@given(st.text(max_size=60))
def test_any_text_is_settings_or_one_line(text: str) -> None:
    try:
        settings.parse(text)
    except SettingsError as error:
        assert "\n" not in str(error)


def test_two_actions_may_swap_keys_and_the_footer_shows_it() -> None:
    wanted = keys.checked({"pause": "c", "checkpoint": "p", "theme": "ctrl+g"})
    shown = keys.shown((("p", "pause"), ("c", "checkpoint"), ("tab", "next")), wanted)
    assert shown == (("c", "pause"), ("p", "checkpoint"), ("tab", "next"))
    assert keys.shown((("^t", "theme"),), wanted) == (("^g", "theme"),)

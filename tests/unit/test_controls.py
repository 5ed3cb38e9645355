"""One client has the controls; the others watch, ask, and get them in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cockpit.screens.helm import Helm
from cockpit.supervisor.controls import PATIENCE, Controls
from trainer.contract import messages


def test_the_first_who_wants_them_has_them() -> None:
    controls: Controls[str] = Controls()
    controls.want("a")
    controls.want("b")
    assert controls.holder == "a"
    assert controls.may("a")
    assert not controls.may("b")


def test_an_explicit_order_of_a_client_that_knows_no_controls_is_followed() -> None:
    controls: Controls[str] = Controls()
    controls.want("a")
    assert controls.may("script")
    assert controls.holder == "a"


def test_who_asks_gets_them_when_they_are_given() -> None:
    controls: Controls[str] = Controls()
    controls.want("a")
    controls.ask("b", 0.0)
    controls.ask("c", 1.0)
    controls.give("a", 2.0)
    assert controls.holder == "b"
    assert list(controls.asking) == ["c"]
    assert controls.asking["c"] == 2.0 + PATIENCE, "the new holder has time to answer too"


def test_who_has_them_can_keep_them() -> None:
    controls: Controls[str] = Controls()
    controls.want("a")
    controls.ask("b", 0.0)
    assert controls.keep("b") == []
    assert controls.keep("a") == ["b"]
    assert controls.look(1000.0) is False
    assert controls.holder == "a"


def test_no_answer_passes_them_on() -> None:
    controls: Controls[str] = Controls()
    controls.want("a")
    controls.ask("b", 0.0)
    assert controls.look(PATIENCE - 0.1) is False
    assert controls.look(PATIENCE) is True
    assert controls.holder == "b"


def test_who_leaves_leaves_them_to_who_asks_or_to_the_next_order() -> None:
    controls: Controls[str] = Controls()
    for client in "abc":
        controls.want(client)
    controls.ask("c", 0.0)
    controls.left("a", 0.0)
    assert controls.holder == "c"
    controls.left("c", 0.0)
    assert controls.holder is None
    assert controls.may("b")
    assert controls.holder == "b"


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["want", "watch", "ask", "give", "keep", "left", "look", "may"]),
        st.sampled_from("abcd"),
    ),
    max_size=40,
)


@given(CALLS)
def test_there_is_never_more_than_one_holder_and_none_that_has_gone(
    calls: list[tuple[str, str]],
) -> None:
    controls: Controls[str] = Controls()
    for now, (call, who) in enumerate(calls):
        match call:
            case "ask" | "give" | "left":
                getattr(controls, call)(who, float(now))
            case "look":
                controls.look(float(now))
            case _:
                getattr(controls, call)(who)
        assert controls.holder is None or controls.holder in controls.bound
        assert controls.holder not in controls.asking
        assert set(controls.asking) <= controls.bound
        assert not (controls.asking and controls.holder is None)
        allowed = {client for client in controls.bound if client == controls.holder}
        assert len(allowed) <= 1


def state(holder: str, yours: bool, *asking: str, text: str = "") -> messages.Controls:
    wait = 15.0 if asking else None
    return messages.Controls(
        holder=holder, yours=yours, asking=list(asking), passes_in=wait, text=text
    )


def test_the_helm_says_what_changed_and_what_w_does() -> None:
    helm = Helm()
    assert helm.ours, "an older supervisor says nothing about controls"
    assert helm.hear(state("b", False)) == ""
    assert not helm.ours
    assert helm.role == "watching"
    assert helm.refusal() == "watching: b has the controls; w asks for them"
    assert helm.key(keep=False) == ("ask", "asked b for the controls…")
    assert helm.hear(state("b", False, "a")) == ""
    assert helm.hear(state("b", False, text="b keeps the controls")) == "b keeps the controls"
    assert helm.hear(state("a", True)) == "the controls are yours"
    assert helm.hear(state("a", True, "c")).startswith("c asks for the controls: w gives, W keeps")
    assert helm.key(keep=True) == ("keep", "you keep the controls")
    assert helm.key(keep=False) == ("give", "given to c")
    assert helm.hear(state("c", False)) == "the controls went to c"
    assert helm.hear(state("", False)) == "the controls are free: the next order takes them"
    assert helm.ours

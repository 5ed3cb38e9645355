"""When an alarm is raised, what it says, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import state
from cockpit.alarms import RULES, Finding, Watch, rule
from cockpit.alarms.imbalance import Imbalance
from trainer.contract import messages as m
from trainer.contract.config import Alarms, Config, ConfigError, build

CONFIG = Config()
Counts = npt.NDArray[np.float64]


class Windows:
    """Windows of routing in which each token draws its expert by these probabilities."""

    def __init__(self, layers: int, experts: int, tokens: int, seed: int = 0) -> None:
        self.shares = np.ones((layers, experts))
        self.tokens, self.random = tokens, np.random.default_rng(seed)
        self.step = 0

    def set(self, layer: int, expert: int, share: float) -> None:
        """This share of an even one; the others of the layer divide the rest."""
        experts = self.shares.shape[1]
        self.shares[layer] = (experts - share) / (experts - 1)
        self.shares[layer, expert] = share

    def next(self) -> m.Experts:
        self.step += 1
        counts = [self.random.multinomial(self.tokens, row / row.sum()) for row in self.shares]
        entry = m.Experts(
            step=self.step, steps=1, layers=list(range(len(counts))),
            counts=[row.tolist() for row in counts], tokens=self.tokens,
        )  # fmt: skip
        entry.time = 1000.0 + self.step
        return entry


def told(watch: Watch, entries: Iterable[m.Entry]) -> list[m.Alarm]:
    return [alarm for entry in entries for alarm in watch.look(entry)]


def raised(alarms: Sequence[m.Alarm]) -> dict[tuple[str, int | None, int | None], str]:
    """What is raised after these, with its severity."""
    folded = state.fold(alarms)
    return {key: alarm.severity for key, alarm in folded.alarms.raised.items()}


# --- balance ---------------------------------------------------------------------------


@pytest.mark.parametrize(("experts", "even"), [(16, 64), (128, 64)])
def test_ten_thousand_windows_of_balanced_routing_raise_nothing(experts: int, even: int) -> None:
    random = np.random.default_rng(experts + even)
    checks = [Imbalance(direction, CONFIG) for direction in (1, -1)]
    for check in checks:
        check.begin(list(range(48)), (48, experts))
    for window in range(10_000):
        # Poisson counts vary a little more than tokens that are dealt out.
        counts = random.poisson(even, (48, experts)).astype(np.float64)
        for check in checks:
            check.add(counts, float(window))
        if window % 100 == 0:  # what is raised stays so for some windows
            assert not any(check.raised.any() for check in checks), f"window {window}"
    assert not any(check._since.any() for check in checks), "none was raised and cleared"


def test_documents_that_go_their_own_ways_raise_nothing_while_the_mean_is_even() -> None:
    random = np.random.default_rng(1)
    checks = [Imbalance(direction, CONFIG) for direction in (1, -1)]
    for check in checks:
        check.begin(list(range(8)), (8, 16))
    for window in range(1000):
        shares = random.dirichlet(np.full(16, 6.0), 8)  # by a factor of two either way
        counts = np.stack([random.multinomial(50_000, row) for row in shares]).astype(float)
        for check in checks:
            check.add(counts, float(window))
            assert not check.raised.any(), f"window {window}"


# --- imbalance -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "name", "severity"),
    [
        (0.0, "expert-starved", "critical"),
        (0.02, "expert-starved", "critical"),
        (0.3, "expert-starved", "warning"),
        (0.7, "expert-starved", "note"),
        (2.4, "expert-overload", "note"),
        (4.0, "expert-overload", "warning"),
        (9.0, "expert-overload", "critical"),
    ],
)
def test_a_share_beyond_a_limit_is_raised_with_layer_and_expert(
    share: float, name: str, severity: str
) -> None:
    windows = Windows(6, 128, 256 * 128)
    windows.set(4, 7, share)
    alarms = told(Watch(CONFIG), (windows.next() for _ in range(60)))
    assert raised(alarms) == {(name, 4, 7): severity}
    last = alarms[-1]
    assert last.value == pytest.approx(share, rel=0.15, abs=0.01)
    assert "layer 4 expert 7" in last.text
    assert last.since is not None and last.since < 1005.0, "it began with the first windows"


@pytest.mark.parametrize("share", [0.85, 1.0, 1.9])
def test_a_share_within_the_limits_is_not(share: float) -> None:
    windows = Windows(6, 16, 4096)
    windows.set(4, 7, share)
    assert told(Watch(CONFIG), (windows.next() for _ in range(500))) == []


def test_a_collapse_is_critical_within_a_few_windows_and_cleared_after() -> None:
    windows, watch = Windows(4, 16, 2048), Watch(CONFIG)
    assert told(watch, (windows.next() for _ in range(20))) == []
    windows.set(2, 5, 16.0)  # all of it
    alarms = told(watch, (windows.next() for _ in range(8)))
    now = raised(alarms)
    assert now["expert-overload", 2, 5] == "critical"
    assert [severity for (name, *_), severity in now.items() if name == "expert-starved"] == [
        "critical"
    ]
    assert {layer for _, layer, _ in now} == {2}
    assert "15 of 16 experts like it" in alarms[-1].text
    windows.shares[2] = 1.0
    alarms += told(watch, (windows.next() for _ in range(6)))
    assert "critical" not in raised(alarms).values()
    alarms += told(watch, (windows.next() for _ in range(20)))
    assert raised(alarms) == {}
    cleared = [(alarm.rule, alarm.layer) for alarm in alarms if alarm.state == "cleared"]
    assert sorted(cleared) == [("expert-overload", 2), ("expert-starved", 2)]


def test_one_or_two_windows_are_not_enough() -> None:
    windows, watch = Windows(4, 16, 4096), Watch(CONFIG)
    for _ in range(10):
        windows.set(1, 3, 16.0)
        assert told(watch, [windows.next(), windows.next()]) == []
        windows.shares[1] = 1.0
        assert told(watch, (windows.next() for _ in range(20))) == []


def test_small_windows_are_added_up_until_they_mean_something() -> None:
    windows = Windows(4, 128, 128)  # one token for each expert
    windows.set(0, 9, 0.0)
    watch = Watch(CONFIG)
    assert told(watch, (windows.next() for _ in range(25))) == []
    alarms = told(watch, (windows.next() for _ in range(700)))
    assert raised(alarms) == {("expert-starved", 0, 9): "critical"}


@pytest.mark.parametrize("share", [0.5, 0.8, 2.0, 3.2])
def test_a_share_on_a_limit_does_not_go_on_and_off(share: float) -> None:
    windows = Windows(4, 16, 4096, seed=3)
    windows.set(1, 3, share)
    alarms = told(Watch(CONFIG), (windows.next() for _ in range(1000)))
    assert len(alarms) <= 2


def test_it_becomes_worse_and_better_under_the_same_name() -> None:
    windows, watch = Windows(4, 16, 8192), Watch(CONFIG)
    alarms: list[m.Alarm] = []
    for share in (2.6, 4.5, 9.0, 4.5, 2.6, 1.0):
        windows.set(1, 3, share)
        alarms += told(watch, (windows.next() for _ in range(15)))
    told_of = [(alarm.state, alarm.severity) for alarm in alarms if alarm.rule == "expert-overload"]
    assert told_of == [
        ("raised", "note"), ("raised", "warning"), ("raised", "critical"),
        ("raised", "warning"), ("raised", "note"), ("cleared", "note"),
    ]  # fmt: skip
    assert {alarm.expert for alarm in alarms if alarm.rule == "expert-overload"} == {3}


def test_a_worse_expert_takes_the_alarm_of_its_layer_over() -> None:
    windows, watch = Windows(2, 16, 8192), Watch(CONFIG)
    windows.set(1, 3, 2.6)
    alarms = told(watch, (windows.next() for _ in range(15)))
    windows.shares[1, 8] = 30.0
    alarms += told(watch, (windows.next() for _ in range(30)))
    overload = [alarm for alarm in alarms if alarm.rule == "expert-overload"]
    assert raised(overload) == {("expert-overload", 1, 8): "critical"}
    assert ("cleared", 3) in [(alarm.state, alarm.expert) for alarm in overload]


def test_another_attempt_starts_the_evidence_over_and_leaves_raised_what_is() -> None:
    windows, watch = Windows(4, 16, 4096), Watch(CONFIG)
    windows.set(1, 3, 16.0)
    launch = m.Launch(pid=1, checkpoint=None, reason="", restarts_left=1)
    for _ in range(5):
        assert told(watch, [windows.next(), windows.next(), launch]) == []
    alarms = told(watch, (windows.next() for _ in range(10)))
    before = raised(alarms)
    assert before["expert-overload", 1, 3] == "critical"
    assert told(watch, [launch, *(windows.next() for _ in range(10))]) == []


def test_who_takes_over_raises_nothing_twice_and_clears_what_is_over() -> None:
    windows, first = Windows(4, 16, 4096), Watch(CONFIG)
    windows.set(1, 3, 16.0)
    alarms = told(first, (windows.next() for _ in range(10)))
    known = state.fold(alarms).alarms.raised
    second = Watch(CONFIG, known.values())
    assert told(second, (windows.next() for _ in range(10))) == []
    windows.shares[1] = 1.0
    over = told(second, (windows.next() for _ in range(30)))
    assert raised([*alarms, *over]) == {}
    cleared = [alarm for alarm in over if alarm.state == "cleared"]
    assert {(a.rule, a.layer, a.expert) for a in cleared} == set(known)
    assert len(cleared) == len(known)


@pytest.mark.parametrize(
    "counts", [[], [[]], [[1, 2], [3]], [[0, 0], [0, 0]], [[1, 2], [0, 0]], [[1, 2]]]
)
def test_counts_that_make_no_sense_are_passed_over(counts: list[list[int]]) -> None:
    watch = Watch(CONFIG)
    for _ in range(5):
        assert watch.look(m.Experts(step=1, steps=1, layers=[0, 1], counts=counts, tokens=9)) == []


def test_limits_can_be_set_and_switched_off() -> None:
    config = build({"model": {"tiny": {}}, "alarms": {"note": [0, float("inf")],
                    "warning": [0, float("inf")], "critical": [0, float("inf")]}})  # fmt: skip
    windows = Windows(4, 16, 4096)
    windows.set(1, 3, 16.0)
    assert told(Watch(config), (windows.next() for _ in range(30))) == []
    for wrong in ({"note": [1.2, 2]}, {"warning": [0.5, 1.5]}, {"windows": 0}, {"note": [0.8]}):
        with pytest.raises(ConfigError, match="alarms"):
            build({"model": {"tiny": {}}, "alarms": wrong})
    assert Alarms().windows == 3


# --- the loss --------------------------------------------------------------------------


def steps(*losses: float | None) -> list[m.Entry]:
    entries: list[m.Entry] = []
    for number, loss in enumerate(losses, 1):
        entry = m.Step(
            step=number, loss=loss, lr=1.0, grad_norm=1.0, tokens=1, seconds=1.0, split={}
        )
        entry.time = float(number)
        entries.append(entry)
    return entries


def test_a_loss_that_is_not_finite_is_critical_at_once_until_ten_are() -> None:
    watch = Watch(CONFIG)
    (alarm,) = told(watch, steps(5.0, 4.0, None))
    assert (alarm.state, alarm.severity, alarm.step, alarm.since) == ("raised", "critical", 3, 3.0)
    assert told(watch, steps(*[4.0] * 9, None, *[4.0] * 9)) == []
    (alarm,) = told(watch, steps(4.0))
    assert (alarm.state, alarm.rule, alarm.since) == ("cleared", "loss-not-finite", 3.0)
    (alarm,) = watch.look(m.Eval(step=9, loss=None, tokens=1, seconds=1.0))
    assert alarm.state == "raised"


# --- any rule --------------------------------------------------------------------------


def test_the_end_ends_all_alarms_without_a_word() -> None:
    watch = Watch(CONFIG)
    entries = steps(None)
    assert len(told(watch, entries)) == 1
    assert watch.look(m.End(state="failed", step=1, reason="")) == []
    assert len(told(watch, entries)) == 1, "another start raises it anew"


def test_a_rule_is_one_function() -> None:
    @rule("slow-step")
    def slow(_config: Config, _raised: Sequence[Finding]) -> object:
        def check(entry: m.Entry) -> list[Finding] | None:
            if not isinstance(entry, m.Step):
                return None
            return [Finding("note", value=entry.lr)] if entry.lr > 1.5 else []

        return check

    try:
        watch = Watch(CONFIG)
        fast, late = steps(4.0, 4.0)
        late.lr = 2.0
        assert [alarm.rule for alarm in told(watch, [fast, late, late])] == ["slow-step"]
        assert [alarm.state for alarm in told(watch, [fast])] == ["cleared"]
    finally:
        del RULES["slow-step"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.4, 1.0, 3.0, 8.0]), st.integers(0, 3), st.booleans()),
        max_size=12,
    )
)
def test_whatever_comes_the_journal_reads_as_raised_then_cleared(
    plan: list[tuple[float, int, bool]],
) -> None:
    """A fold of the messages always knows what is raised: nothing is cleared that was not raised,
    nothing is raised twice with one severity, and a layer has at most one alarm of a rule."""
    windows, watch = Windows(2, 8, 2048), Watch(CONFIG)
    open_now: dict[tuple[str, int | None, int | None], str] = {}
    for share, expert, replaced in plan:
        windows.set(1, expert, share)
        for alarm in told(watch, (windows.next() for _ in range(4))):
            key = alarm.rule, alarm.layer, alarm.expert
            if alarm.state == "cleared":
                del open_now[key]
            else:
                assert open_now.get(key) != alarm.severity
                open_now[key] = alarm.severity
        places = [(name, layer) for name, layer, _ in open_now]
        assert len(set(places)) == len(places)
        if replaced:
            known = [
                m.Alarm(state="raised", rule=name, layer=layer, expert=e, value=None, step=1,
                        severity=severity)  # type: ignore[arg-type]
                for (name, layer, e), severity in open_now.items()
            ]  # fmt: skip
            watch = Watch(CONFIG, known)

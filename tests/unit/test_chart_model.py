"""From the numbers of runs to what a chart shows."""

import math

import pytest

from cockpit import metrics
from cockpit.source import Source
from cockpit.widgets.chart_model import ChartModel, slots
from cockpit.widgets.chart_view import View
from cockpit.widgets.grid import Ink
from cockpit.widgets.render_chart import Chart
from tests.ui.make_journal import Shape, entries
from trainer.contract import messages as m


def source_of(shape: Shape, key: str = "one") -> Source:
    source = Source(key, key, total=shape.steps)
    journal = list(entries(shape))
    for entry in journal:
        if isinstance(entry, m.Hello) and entry.attempt > 1:
            source.series.rewind(entry.step)
        elif isinstance(entry, m.Step):
            source.series.extend([entry])
    source.figures.take(journal)
    return source


def drawn(metric: str, view: View | None = None, *sources: Source) -> Chart:
    found = ChartModel().chart(
        sources or [source_of(Shape(steps=100))], metrics.find(metric), view or View(), 100, 20
    )
    assert found is not None
    return found


def labels(chart: Chart) -> list[str]:
    return [curve.label for curve in chart.curves]


def test_the_loss_has_a_band_and_evaluations_have_a_line() -> None:
    chart = drawn("loss")
    assert labels(chart) == ["loss", "eval loss"]
    assert chart.curves[0].band is not None
    assert chart.curves[1].band is None
    assert (chart.start, chart.end) == (0, 100.5)


def test_a_metric_without_numbers_has_no_chart() -> None:
    source = source_of(Shape(steps=10))
    assert ChartModel().chart([source], metrics.find("mfu"), View(), 100, 20) is None


def test_every_metric_of_a_run_draws_on_every_axis() -> None:
    source = source_of(Shape(steps=60, gpus=2, crash=True))
    for metric in metrics.available(source):
        for axis in ("step", "tokens", "time"):
            for log in (False, True):
                chart = drawn(metric.name, View(axis, log=log), source)
                assert chart.curves, metric.name
                assert any(value not in ("", "–") for value in chart.values)


def test_many_ranks_become_one_band() -> None:
    source = source_of(Shape(steps=20, ranks=64))
    chart = drawn("memory", None, source)
    assert labels(chart) == ["64 × rank"]
    assert chart.curves[0].band is not None
    lows = chart.curves[0].bands
    assert lows.count.max() >= 64


def test_the_crosshair_says_where_it_is_on_every_axis_and_what_is_there() -> None:
    source = source_of(Shape(steps=100))
    chart = drawn("loss", View(cursor=50.0), source)
    assert chart.where.startswith("step 50 · 819k tokens · ")
    assert chart.cursor == int(50 / 100.5 * 92)
    loss = float(source.series["loss"][49])
    assert any(f"{loss:.4f}" in part for part in [chart.values[0]])
    assert drawn("loss", View(cursor=50.0, window=(60.0, 90.0)), source).cursor is None


def test_the_crosshair_over_many_points_says_their_range() -> None:
    source = source_of(Shape(steps=2000, every=5000, samples=100))
    value = drawn("loss", View(cursor=1000.0), source).values[0]
    middle, low, high = (
        float(part.strip("()…")) for part in value.replace("…", " ").split() if part.strip("()…")
    )
    assert low <= middle <= high
    inside = source.series["loss"][960:1040]
    assert float(inside.min()) <= low <= high <= float(inside.max()) + 1e-3


def test_restarts_lie_on_whichever_axis_is_shown() -> None:
    source = source_of(Shape(steps=60, crash=True))
    assert source.series.restarts == [25]
    assert drawn("loss", View(), source).restarts == [25]
    assert drawn("loss", View("tokens"), source).restarts == [25 * 16_384]
    time = drawn("loss", View("time"), source).restarts[0]
    assert time == pytest.approx(source.series["time"][24] - source.origin("time"))


def test_runs_are_drawn_over_each_other_from_the_same_origin() -> None:
    long, short = source_of(Shape(steps=100), "long"), source_of(Shape(steps=40), "short")
    chart = drawn("lr", View("time"), long, short)
    assert labels(chart) == ["long", "short"]
    ends = [curve.bands.good.nonzero()[0][-1] for curve in chart.curves]
    assert ends[1] < ends[0] / 2
    assert chart.curves[0].inks[1] == Ink.CURVE
    assert chart.curves[1].band is None


def test_beside_another_run_a_loss_is_without_its_evaluations() -> None:
    long, short = source_of(Shape(steps=100), "long"), source_of(Shape(steps=40), "short")
    assert labels(drawn("loss", None, long, short)) == ["long", "short"]
    both = labels(drawn("memory", None, long, short))
    assert both == ["long: rank 0", "long: rank 1", "short: rank 0", "short: rank 1"]


def test_a_run_that_made_no_step_yet_beside_one_that_did() -> None:
    chart = drawn("loss", View(cursor=5.0), Source("new", "new"), source_of(Shape(steps=40), "old"))
    assert labels(chart) == ["old"]
    assert chart.where == "before the first step"


def test_a_run_keeps_its_colour_whatever_is_beside_it() -> None:
    runs = [Source(name) for name in ("own", "b", "c", "d")]
    alone = slots([runs[0], runs[2]])[1]
    assert slots([runs[0], runs[2], runs[3]])[1] == alone
    assert slots(runs)[0] == 0
    assert len(set(slots(runs))) == 4


def test_the_parts_of_a_step_add_up_to_its_time() -> None:
    chart = drawn("split")
    assert labels(chart) == ["forward", "backward", "optimizer"]
    assert chart.stacked
    assert sum(float(value) for value in chart.values) == pytest.approx(0.8, rel=0.1)
    assert chart.scale.bottom == 0


def test_a_zoomed_line_comes_in_from_the_side_as_it_goes_on_there() -> None:
    source = source_of(Shape(steps=100))
    chart = drawn("eval_loss", View(window=(55.0, 70.0)), source)
    curve = chart.curves[0]
    assert not curve.bands.count.any()  # evaluations are at 50 and 75
    assert not any(math.isnan(low) for low in curve.line[0].tolist())


def test_a_logarithmic_axis_of_the_loss() -> None:
    assert drawn("loss", View(log=True)).scale.log
    assert not drawn("split", View(log=True)).scale.log


def test_values_that_are_no_numbers_are_counted_in_the_title() -> None:
    source = source_of(Shape(steps=30))
    last = m.Step(step=31, loss=None, lr=1e-3, grad_norm=None, tokens=1, seconds=1, split={},
                  time=float(source.series["time"][-1]) + 1)  # fmt: skip
    source.series.extend([last])
    source.total = 100
    chart = drawn("grad_norm", None, source)
    assert chart.values == ["not finite"]
    assert "1 not finite" in chart.note

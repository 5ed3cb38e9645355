"""On a slow line charts and map are drawn less often than figures."""

from collections.abc import Iterator

import pytest
from fake_supervisor import FakeSupervisor
from test_flows import open_run, supervisor, text_of, until  # noqa: F401 - a fixture

from cockpit import terminal
from cockpit.screens import dashboard
from cockpit.terminal import Terminal


@pytest.fixture
def _seldom(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So seldom that it does not happen within a test."""
    before = terminal.in_use()
    monkeypatch.setattr(dashboard, "PLOTS_EVERY", 1000.0)
    yield
    terminal.use(before)


@pytest.mark.usefixtures("_seldom")
@pytest.mark.parametrize("slow", [False, True])
async def test_figures_go_on_while_plots_wait(supervisor: FakeSupervisor, slow: bool) -> None:  # noqa: F811
    terminal.use(Terminal(slow=slow))
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "step    40/1,000" in text_of(app, "header"))
        await until(pilot, lambda: app.screen._link is not None and app.screen._link.live)
        await pilot.pause(0.6)
        before = text_of(app, "loss")
        assert "step" in before  # what the journal holds is there at once
        for _ in range(20):
            supervisor.one_step()
        await until(pilot, lambda: "step    60/1,000" in text_of(app, "header"))
        assert (text_of(app, "loss") == before) == slow
        await pilot.resize_terminal(110, 40)
        await until(pilot, lambda: text_of(app, "loss") != before)

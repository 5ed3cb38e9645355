"""Who has the controls, as the dashboard says it. No Textual here."""

from __future__ import annotations

from cockpit.client import ControlAction
from trainer.contract.messages import Controls


class Helm:
    """Folds what the supervisor says about the controls. Where it says nothing (an older one),
    they count as ours."""

    def __init__(self) -> None:
        self._state: Controls | None = None

    @property
    def ours(self) -> bool:
        """Whether a key that gives an order may do so: free controls come with the first."""
        return self._state is None or self._state.yours or not self._state.holder

    @property
    def role(self) -> str:
        """For the header; "" for who has the controls."""
        return "" if self.ours else "watching"

    def refusal(self) -> str:
        """Why a key does nothing, and what does."""
        holder = self._state.holder if self._state else "somebody"
        return f"watching: {holder} has the controls; w asks for them"

    def hear(self, state: Controls) -> str:
        """Take in a change; the line to show about it, "" for none."""
        before, self._state = self._state, state
        if state.text or (state.yours and state.asking):
            return state.text or self._request(state)
        if before is None or (before.yours, before.holder) == (state.yours, state.holder):
            return ""
        if state.yours:
            return "the controls are yours"
        if before.yours and state.holder:
            return f"the controls went to {state.holder}"
        return "" if state.holder else "the controls are free: the next order takes them"

    @staticmethod
    def _request(state: Controls) -> str:
        wait = max(0, round(state.passes_in or 0))
        return f"{state.asking[0]} asks for the controls: w gives, W keeps; in {wait} s they pass"

    def key(self, keep: bool) -> tuple[ControlAction | None, str]:
        """What w (or, to keep them, W) does now, and the line to show."""
        state = self._state
        if state is None:
            return None, "nobody else can have the controls of this run"
        if not state.yours:
            if keep:
                return None, "nothing to keep: the controls are not yours"
            if state.holder:
                return "ask", f"asked {state.holder} for the controls…"
            return "want", ""
        if not state.asking:
            return None, "the controls are yours, and nobody asks for them"
        asker = state.asking[0]
        return ("keep", "you keep the controls") if keep else ("give", f"given to {asker}")

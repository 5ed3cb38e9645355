"""What became of the commands that were given here: one line, from the key press to the ack."""

from __future__ import annotations

from cockpit.screens.story import done_text
from cockpit.widgets.render_events import Tone
from trainer.contract.messages import Ack, End, Entry, Launch


class Orders:
    """Commands under way by id, and the newest line about one."""

    def __init__(self) -> None:
        self._under_way: dict[str, str] = {}
        self.line: tuple[Tone, str] | None = None

    def under_way(self, command: str) -> bool:
        """Whether such a command has no final answer yet."""
        return command in self._under_way.values()

    def sent(self, order_id: str, command: str, loading: bool = False) -> None:
        """A key was pressed; said before anything else is done about it. loading: the trainer
        cannot answer yet."""
        self._under_way[order_id] = command
        later = " it will be answered when the model is loaded" if loading else ""
        self.line = ("note", f"{command} sent…{later}")

    def failed(self, order_id: str, reason: str) -> None:
        """It did not even leave."""
        command = self._under_way.pop(order_id, "command")
        self.line = ("bad", f"{command} not sent: {reason}")

    def say(self, tone: Tone, text: str) -> None:
        """A line of one's own."""
        self.line = (tone, text)

    def take(self, entries: list[Entry]) -> bool:
        """Look for answers; whether the line changed."""
        before = self.line
        for entry in entries:
            if isinstance(entry, Ack) and entry.id in self._under_way:
                self._answered(entry)
            elif isinstance(entry, (Launch, End)):
                self._overtaken(entry)
        return self.line != before

    def _answered(self, ack: Ack) -> None:
        if ack.state == "accepted":
            self.line = ("note", f"{ack.command} accepted, waiting for the step to end")
            return
        del self._under_way[ack.id]
        if ack.state == "done":
            self.line = ("good", done_text(ack))
        else:
            self.line = ("warning", f"{ack.command} refused: {ack.reason}")

    def _overtaken(self, entry: Launch | End) -> None:
        """Processes came or went: what was under way will not be answered any more."""
        waited = bool(self._under_way)
        self._under_way.clear()
        if isinstance(entry, Launch):
            if waited or self.line:
                self.line = ("good", f"started again: attempt {entry.attempt}")
        elif waited:
            tone: Tone = "bad" if entry.state == "failed" else "good"
            self.line = (tone, f"{entry.state} after step {entry.step}")

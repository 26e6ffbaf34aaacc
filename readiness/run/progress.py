"""Shows the progress of a run: live lines on a terminal, plain lines in a CI log."""

import sys
import time
from collections import Counter
from typing import Any, Final, Protocol, TextIO

from readiness.model.clean import clean, line
from readiness.model.evidence import Outcome
from readiness.run.journal import Event
from readiness.run.ledger import Ledger, Planned

HEARTBEAT_S: Final = 30.0
_STYLES: Final = {
    Outcome.PASS: "green",
    Outcome.WARN: "yellow",
    Outcome.FAIL: "bold red",
    Outcome.ERROR: "magenta",
    Outcome.NOT_RUN: "magenta",
}


class Progress(Protocol):
    """Receives every event, and a tick at regular intervals."""

    def event(self, event: Event, ledger: Ledger) -> None:
        """Handle an event; the ledger already includes it."""
        ...

    def tick(self, ledger: Ledger) -> None:
        """Handle a tick, a few times a second."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


class Silent:
    """Shows nothing."""

    def event(self, event: Event, ledger: Ledger) -> None:
        """Show nothing."""

    def tick(self, ledger: Ledger) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class _Running:
    """Tracks which checks run, and since when."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}

    def take(self, event: Event) -> None:
        """Follow the start and end of checks."""
        nodeid = str(event.get("nodeid", ""))
        if event["event"] == "start":
            self.since[nodeid] = time.monotonic()
        elif event["event"] == "crash" or event.get("when") == "teardown":
            self.since.pop(nodeid, None)

    def oldest(self, plan: dict[str, Planned], suite: str = "") -> tuple[str, float] | None:
        """The longest running check and its seconds so far."""
        for nodeid, since in self.since.items():
            planned = plan.get(nodeid)
            if planned and suite in {"", planned.suite}:
                return name_of(planned), time.monotonic() - since
        return None


class Lines:
    """A line for every finished check, and a heartbeat while a long one runs."""

    def __init__(self, out: TextIO | None = None, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._out = out or sys.stdout
        self._heartbeat_s = heartbeat_s
        self._running = _Running()
        self._last = time.monotonic()
        self._planned = False

    def event(self, event: Event, ledger: Ledger) -> None:
        """Print a line when a check has ended."""
        self._running.take(event)
        if event["event"] == "plan" and not self._planned:
            self._planned = True
            selected = sum(p.selected for p in ledger.plan.values())
            self._say(f"{selected} checks planned")
        nodeid = str(event.get("nodeid", ""))
        outcome = ledger.outcome_of(nodeid)
        ends = event["event"] == "crash" or event.get("when") == "teardown"
        if outcome and ends and nodeid in ledger.plan:
            result = ledger.result_of(nodeid)
            took = f"{result.duration_s:.1f} s"
            note = "" if outcome is Outcome.PASS else f"  {result.message}"
            self._say(f"{outcome:<14} {result.name}  ({took}){note}")

    def tick(self, ledger: Ledger) -> None:
        """Print a heartbeat when nothing was printed for long."""
        if time.monotonic() - self._last < self._heartbeat_s:
            return
        if not ledger.plan:
            self._say("... collecting the checks")
            return
        oldest = self._running.oldest(ledger.plan)
        what = f"running {oldest[0]} for {oldest[1]:.0f} s" if oldest else "waiting"
        left = len(ledger.unreported())
        self._say(f"... {what}; {left} checks to go")

    def close(self) -> None:
        """Do nothing."""

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        self._out.write(clean(text).replace("\n", " ") + "\n")
        self._out.flush()


class Live:
    """One live line per suite: counts, the running check and its seconds."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._running = _Running()
        self._live: Any = RichLive(console=Console(), refresh_per_second=8, transient=True)
        self._live.start()

    def event(self, event: Event, ledger: Ledger) -> None:  # noqa: ARG002 - drawn at the tick
        """Follow the start and end of checks."""
        self._running.take(event)

    def tick(self, ledger: Ledger) -> None:
        """Redraw."""
        self._live.update(self._table(ledger))

    def close(self) -> None:
        """Release the terminal."""
        self._live.stop()

    def _table(self, ledger: Ledger) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        if not ledger.plan:
            table.add_row("collecting the checks ...")
        suites = sorted({p.suite for p in ledger.plan.values() if p.selected})
        for suite in suites:
            mine = [p for p in ledger.plan.values() if p.suite == suite and p.selected]
            ended = [ledger.outcome_of(p.nodeid) for p in mine]
            found = Counter(outcome for outcome in ended if outcome)
            oldest = self._running.oldest(ledger.plan, suite)
            marks = Text("  ").join(
                Text(f"{n} {outcome}", style=_STYLES.get(outcome, ""))
                for outcome, n in sorted(found.items())
            )
            now = f"{line(oldest[0].partition('.')[2])} {oldest[1]:.0f} s" if oldest else ""
            table.add_row(
                Text(suite, style="bold"),
                f"{sum(found.values())}/{len(mine)}",
                marks,
                Text(now, style="dim"),
            )
        return table


def name_of(planned: Planned) -> str:
    """`suite.slug[subject]`."""
    return f"{planned.id}[{planned.subject}]" if planned.subject else planned.id


def choose(out: TextIO | None = None) -> Progress:
    """Live lines on a terminal, plain lines elsewhere."""
    stream = out or sys.stdout
    return Live() if stream.isatty() else Lines(stream)

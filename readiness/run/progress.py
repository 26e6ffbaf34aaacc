"""Shows the progress of a run: live lines on a terminal, plain lines in a CI log."""

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from readiness.model.clean import clean, line
from readiness.model.evidence import Outcome
from readiness.model.figures import counted, duration
from readiness.run.journal import Event
from readiness.run.ledger import Ledger, Planned

if TYPE_CHECKING:
    from readiness.model.record import RunRecord

HEARTBEAT_S: Final = 30.0
_COLUMNS: Final = 80
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


class Overall:
    """How far the run is: `37 of 120 checks, 1 min 12 s, about 3 min left`.

    The estimate is made from the latest record of the same target: what the checks took that are
    still to come. Those that need quiet run one after another; of the others, which run in
    parallel, the same share of the time is left as of their durations.

    Args:
        reports: the folder with earlier records; None for no estimate.
    """

    def __init__(self, reports: Path | None = None) -> None:
        self._began = time.monotonic()
        self._reports = reports
        self._before: RunRecord | None = None
        self._looked = False

    def of(self, ledger: Ledger) -> str:
        """The sentence for a ledger with a plan."""
        selected = [p for p in ledger.plan.values() if p.selected and p.asked]
        left = set(ledger.unreported())
        done = sum(p.nodeid not in left for p in selected)
        parts = [f"{done} of {len(selected)} checks", self._elapsed()]
        rest = self._rest(ledger, [p for p in selected if p.nodeid in left])
        if rest is not None and done < len(selected):
            parts.append(f"about {duration(max(1, round(rest)))} left")
        return ", ".join(parts)

    def _elapsed(self) -> str:
        return duration(max(1, round(time.monotonic() - self._began)))

    def _rest(self, ledger: Ledger, left: Sequence[Planned]) -> float | None:
        before = self._record(ledger)
        if before is None:
            return None
        took = {(c.id, c.subject): c.duration_s for c in before.checks}
        quiet = sum(c.duration_s for c in before.checks if c.effect.needs_quiet)
        parallel = sum(took.values()) - quiet
        wall = max(0.0, before.run.duration_s - quiet)
        alone = sum(took.get((p.id, p.subject), 0) for p in left if p.effect.needs_quiet)
        beside = sum(took.get((p.id, p.subject), 0) for p in left if not p.effect.needs_quiet)
        return alone + (wall * beside / parallel if parallel else 0.0)

    def _record(self, ledger: Ledger) -> "RunRecord | None":
        """The latest record of the target; looked for once, when the target is known."""
        if not self._looked and ledger.begun is not None and self._reports is not None:
            from readiness.report import history

            self._looked = True
            target = ledger.begun.get("target")
            name = target.get("name") if isinstance(target, dict) else None
            self._before = history.latest(history.Files(self._reports), str(name))
        return self._before


class Lines:
    """A line for every finished check, and a heartbeat while a long one runs.

    Args:
        out: where to write; default: standard output.
        heartbeat_s: seconds without a line until one says what runs.
        overall: says how far the run is.
        brief: whether to leave out checks that are not applicable, as for the log of a CI job.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        *,
        overall: Overall | None = None,
        brief: bool = False,
    ) -> None:
        self._out = out or sys.stdout
        self._heartbeat_s = heartbeat_s
        self._overall = overall or Overall()
        self._brief = brief
        self._running = _Running()
        self._last = time.monotonic()
        self._planned = False

    def event(self, event: Event, ledger: Ledger) -> None:
        """Print a line when a check has ended."""
        self._running.take(event)
        if event["event"] == "plan" and not self._planned:
            self._planned = True
            # Only now: a run that is refused judges nothing.
            for row in textwrap.wrap(heading(ledger.begun or {}), _COLUMNS, subsequent_indent="  "):
                self._say(row)
            selected = sum(p.selected and p.asked for p in ledger.plan.values())
            self._say(f"{counted(selected, 'check')} planned")
        nodeid = str(event.get("nodeid", ""))
        outcome = ledger.outcome_of(nodeid)
        ends = event["event"] == "crash" or event.get("when") == "teardown"
        if self._brief and outcome is Outcome.NOT_APPLICABLE:
            return
        planned = ledger.plan.get(nodeid)
        if outcome and ends and planned and planned.asked:
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
        self._say(f"... {what}; {self._overall.of(ledger)}")

    def close(self) -> None:
        """Do nothing."""

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        self._out.write(clean(text).replace("\n", " ") + "\n")
        self._out.flush()


class Live:
    """How far the run is, and a live line per suite: counts, the running check and its seconds."""

    def __init__(self, overall: Overall | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._overall = overall or Overall()
        self._running = _Running()
        self._live: Any = RichLive(console=Console(), refresh_per_second=8, transient=True)
        self._live.start()

    def event(self, event: Event, ledger: Ledger) -> None:  # noqa: ARG002 - drawn at the tick
        """Follow the start and end of checks."""
        self._running.take(event)

    def tick(self, ledger: Ledger) -> None:
        """Redraw."""
        self._live.update(self._view(ledger))

    def close(self) -> None:
        """Release the terminal."""
        self._live.stop()

    def _view(self, ledger: Ledger) -> Any:
        from rich.console import Group
        from rich.text import Text

        if not ledger.plan:
            return Text("collecting the checks ...")
        rows: list[Any] = [Text(self._overall.of(ledger), style="bold"), self._table(ledger)]
        if ledger.begun is not None:
            rows.insert(0, Text(heading(ledger.begun), style="dim", overflow="fold"))
        return Group(*rows)

    def _table(self, ledger: Ledger) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        # What is too long for the terminal is cut: lines that wrap would jump.
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        planned = [p for p in ledger.plan.values() if p.selected and p.asked]
        for suite in sorted({p.suite for p in planned}):
            mine = [p for p in planned if p.suite == suite]
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


def heading(begun: Event) -> str:
    """What is judged, as the first event says it, from the target to its fingerprint."""
    known = begun.get("target")
    target = known if isinstance(known, dict) else {}
    name, release, environment, fingerprint = (
        line(str(target.get(key, "")), 100)
        for key in ("name", "release", "environment", "fingerprint")
    )
    parts = [f"{name} {release}".strip(), environment]
    parts += [f"profile {line(str(begun['profile']), 40)}"] if "profile" in begun else []
    parts += [f"fingerprint {fingerprint}"] if fingerprint else []
    return " · ".join(filter(None, parts))


def name_of(planned: Planned) -> str:
    """`suite.slug[subject]`."""
    return f"{planned.id}[{planned.subject}]" if planned.subject else planned.id


def choose(
    out: TextIO | None = None, *, reports: Path | None = None, brief: bool = False
) -> Progress:
    """Live lines on a terminal, plain lines elsewhere.

    Args:
        out: where to write; default: standard output.
        reports: the folder with earlier records, for the estimate.
        brief: whether plain lines leave out what is not applicable.
    """
    stream = out or sys.stdout
    overall = Overall(reports)
    return Live(overall) if stream.isatty() else Lines(stream, overall=overall, brief=brief)

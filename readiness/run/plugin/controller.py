"""The controlling process of a run: keeps the ledger, concludes, sets the exit code."""

import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from readiness.model.clean import line as printable
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.measurement import now
from readiness.model.record import RunRecord
from readiness.model.secrets import redact
from readiness.run.journal import FILE, STOPPED, Journal
from readiness.run.ledger import Ledger, Planned
from readiness.run.plugin import collection, foreign, foreseen, handover, quiet
from readiness.run.plugin.running import finding_of
from readiness.run.plugin.state import State, refuse
from readiness.run.progress import heading

_BROKEN: Final = {Outcome.FAIL, Outcome.ERROR}
_ORDINARY: Final = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}


class Controller:
    """The hooks of the controlling process."""

    def __init__(self, config: pytest.Config, state: State) -> None:
        self.config = config
        self.state = state
        self.ledger = Ledger()
        self.record: RunRecord | None = None
        self._refused = False
        self._foreseen = foreseen.Foreseen()
        self._journal = Journal(state.folder / FILE)
        state.save()
        self.note(
            event="begin",
            run=state.run.model_dump(mode="json"),
            target=state.target.model_dump(mode="json"),
            profile=state.profile.name,
            run_timeout_s=state.loaded.config.gate.run_timeout_s,
        )

    @property
    def distributed(self) -> bool:
        """Whether xdist workers run the checks."""
        return self.config.pluginmanager.has_plugin("dsession")

    @property
    def _was_stopped(self) -> bool:
        return self.ledger.interrupted or any(i.kind == "timed-out" for i in self.ledger.incidents)

    def note(self, **event: object) -> None:
        """Write an event to the journal and apply it to the ledger."""
        self._journal.write(event)
        self.ledger.apply(event)

    def incident(self, kind: str, message: str) -> None:
        """Record something that makes the run incomplete."""
        self.note(event="incident", kind=kind, message=redact(message))

    def pytest_report_header(self) -> str:
        """Say what is judged: target, profile, fingerprint."""
        return f"readiness: {heading(self.ledger.begun or {})}"

    # Collection: the plan

    def pytest_sessionstart(self) -> None:
        """Without xdist: find modules that need not be collected."""
        if not self.distributed:
            self._foreseen = foreseen.foresee(self.config, self.state, leaves_quiet=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Without xdist: plan everything that was collected, before anything is deselected."""
        try:
            self._accept(foreseen.plan(items, self.state, self._foreseen), worker="")
        except ReadinessError as error:
            raise self._refuse(error) from error
        collection.keep_selected(config, items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist: apply what `-k`, `-m` and the like deselected; quiet checks go last."""
        if not self.distributed:
            session.items.sort(key=collection.needs_quiet)
            self._narrowed({item.nodeid for item in session.items} | self._foreseen.nodeids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the run's folder to a worker."""
        node.workerinput["readiness_folder"] = str(self.state.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """With xdist: read the plan of a worker."""
        worker = node.gateway.id
        try:
            planned, kept = handover.read(self.state.folder, worker)
            self._accept(planned, worker=worker)
        except ReadinessError as error:
            raise self._refuse(error) from error
        self._narrowed(kept)

    def _refuse(self, error: ReadinessError) -> BaseException:
        self._refused = True
        return refuse(self.config, error)

    def _accept(self, planned: list[Planned], *, worker: str) -> None:
        first = not self.ledger.plan
        if first and not self.ledger.incidents:
            # After a collection error the known ids are incomplete, so nothing is validated.
            collection.validate(planned, self.state)
        if not first and [p.nodeid for p in planned] == list(self.ledger.plan):
            return  # as the first worker said
        self.note(event="plan", worker=worker, items=[p.to_dict() for p in planned])
        if first:
            for missing in collection.missing_ids(self.config, planned):
                self.incident(
                    "not-collected", f"{missing} is a shipped check that was not collected"
                )

    def _narrowed(self, chosen: set[str]) -> None:
        reason = collection.partial_reason(self.config, list(self.ledger.plan.values()), chosen)
        for planned in self.ledger.plan.values():
            if planned.selected and planned.nodeid not in chosen:
                self.note(event="deselected", nodeid=planned.nodeid)
        if reason:
            self.note(event="partial", reason=reason)

    # Reports

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A check begins."""
        self.note(event="start", nodeid=nodeid, at=now().isoformat())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a check has ended."""
        if report.when == "setup" and report.passed and not report.user_properties:
            return  # adds nothing to the start and the end
        self.note(
            event="report",
            nodeid=report.nodeid,
            when=str(report.when),
            status=report.outcome,
            xfail=hasattr(report, "wasxfail"),
            finding=finding_of(report),
            text=redact(_last_line(report)),
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module or folder was collected, or failed to be."""
        if report.failed:
            self.incident(
                "collection", f"{report.nodeid} could not be collected: {_last_line(report)}"
            )
        elif report.skipped:
            self.incident("collection", f"{report.nodeid} was skipped: {_last_line(report)}")

    # What goes wrong

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker has ended; with an error if it died."""
        if error:
            self.incident("worker-lost", f"worker {node.gateway.id} was lost: {error}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A check's process died; give pytest-html the teardown report that it needs."""
        self.note(event="crash", nodeid=crashitem)
        report.when = "teardown"

    def pytest_internalerror(self, excrepr: object) -> None:
        """Pytest or a plugin failed."""
        lines = str(excrepr).strip().splitlines()
        self.incident("internal-error", f"pytest failed internally: {lines[-1] if lines else '?'}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, a time-out of the run, or `--maxfail`."""
        if excinfo.type is not KeyboardInterrupt:
            return
        stopped = self.state.folder / STOPPED
        if stopped.exists():
            self.incident("timed-out", stopped.read_text(encoding="utf-8"))
        else:
            self.note(event="interrupted")

    # Phases and the end

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """After the parallel phase, run the checks that need quiet, alone."""
        if self.distributed:
            _import_the_end()
        result = yield
        if self.distributed:
            quiet.run(self, session)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Conclude the run and set the exit code, even if another plugin fails."""
        try:
            return (yield)
        except BaseException as error:  # whatever it was, the run is incomplete
            self.incident("internal-error", f"another plugin failed at the end: {error!r}")
            raise
        finally:
            self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        from readiness.run.conclude import finish
        from readiness.run.ending import Ending

        if self._refused:
            return
        self._doubt(session)
        options = self.config.option
        ending = Ending(
            Path(options.readiness_reports),
            baseline=Path(options.readiness_baseline) if options.readiness_baseline else None,
            record_only=options.readiness_record_only,
            evidence=options.readiness_evidence,
            # Under `readiness run` the supervisor prints the annotations.
            environ={} if options.readiness_folder else None,
        )
        ended = finish(self.ledger, self.state.loaded.config, ending)
        self.record = ended.record
        session.exitstatus = ended.code
        if ended.refusal:
            sys.stderr.write(f"readiness: {ended.refusal}\n")
        elif ended.record:
            self._tell(ended.record)
            self.note(event="end", verdict=ended.record.verdict, note=ended.note)
        if ended.note:
            sys.stderr.write(f"readiness: {ended.note}\n")

    def _tell(self, record: RunRecord) -> None:
        """Call the user's hooks; what they do wrong changes nothing."""
        if self.config.option.collectonly or self.config.option.readiness_record_only:
            return
        try:
            self.config.hook.pytest_readiness_concluded(config=self.config, record=record)
        except Exception as error:  # noqa: BLE001 - it is code of the user
            what = redact(f"pytest_readiness_concluded failed: {error!r}")
            sys.stderr.write(f"readiness: {printable(what)}\n")

    def _doubt(self, session: pytest.Session) -> None:
        """Record where pytest's status and the ledger disagree; it can only worsen the verdict."""
        if self.config.option.collectonly:
            self.incident("dry-run", "checks were only collected, not run")
        for module in foreign.meddlers(self.config):
            self.incident(
                "plugin",
                f"The pytest plugin {module} can change an outcome; use `readiness run`, or"
                f" disable it: -p no:{module}",
            )
        status = int(session.exitstatus)
        broken = [r for r in self.ledger.results() if r.outcome in _BROKEN]
        if status == pytest.ExitCode.TESTS_FAILED and not broken and not self.ledger.incidents:
            self.incident("status", "pytest reports failed tests, but no check failed")
        elif status not in _ORDINARY and not self._was_stopped:
            self.incident("status", f"pytest ended with status {status}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the verdict below pytest's own summary."""
        if self.record:
            terminalreporter.section(f"readiness: {self.record.verdict}")
            for reason in self.record.reasons:
                terminalreporter.write_line(f"* {printable(reason)}")
            terminalreporter.write_line(
                f"report: {self.config.option.readiness_reports}/readiness.html"
            )

    def pytest_unconfigure(self) -> None:
        """Close the journal; remove the run's folder if this process made it."""
        self._journal.close()
        if not self.config.option.readiness_folder:
            shutil.rmtree(self.state.folder, ignore_errors=True)


def _import_the_end() -> None:
    """Import the modules of the conclusion while the workers start."""
    from readiness.report import github, history, html, machines, markdown  # noqa: F401
    from readiness.run import conclude  # noqa: F401


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The most informative line of a failure, without traceback."""
    if report.longrepr is None:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    return str(lines[0] if crash else lines[-1]).removeprefix("E ").strip()

"""The command line: arguments only. Everything is imported when it is needed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from readiness import __version__
from readiness.cli.terminal import format_option
from readiness.lib.options import config_option

if TYPE_CHECKING:
    from readiness.report import EvidenceShown

_F = TypeVar("_F", bound=Callable[..., Any])


class _Group(click.Group):
    """`run` is the default command; an error of ours is one message and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        other = {"--help", "-h", "--version"}
        # A shell that completes a command asks without arguments, too.
        if (not args and not ctx.resilient_parsing) or (
            args and args[0].startswith("-") and args[0] not in other
        ):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our commands and those of the areas."""
        from readiness.areas.registry import areas

        own = (name for area in areas() for name in area.commands)
        return sorted([*super().list_commands(ctx), *own])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of ours, else of an area, which is only then imported."""
        return super().get_command(ctx, cmd_name) or _of_an_area(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for a misspelt one."""
        import difflib

        if self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"no such command: {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        from readiness.model.errors import ReadinessError

        try:
            _need_a_folder()
            return super().invoke(ctx)
        except ReadinessError as error:
            from readiness.cli.terminal import told

            for row in told(error):
                click.echo(row, err=True)
            ctx.exit(2)


def _need_a_folder() -> None:
    """Relative paths are looked for in the current folder, which may be gone."""
    from readiness.model.errors import UsageError

    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError(
            "the current folder was deleted", where=".", remedy="cd into one that exists"
        ) from None


def _of_an_area(name: str) -> click.Command | None:
    from readiness.areas.registry import areas

    def configured(path: Path | None) -> Any:
        from readiness.config.loading import configured as load

        return load(path).config

    made = (area.commands[name](configured) for area in areas() if name in area.commands)
    return next(made, None)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="readiness")
def main() -> None:
    """Measure whether a system is ready for production, and show the evidence.

    Exit codes: 0 READY, 1 NOT READY, 2 nothing was judged, 3 INCOMPLETE, 130 interrupted.
    """


def _complete(kind: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """What a shell offers for an argument: `areas`, `ids`, `selections` or `recorded`."""

    def complete(ctx: click.Context, _parameter: click.Parameter, begun: str) -> Any:
        from readiness.cli import completion

        return completion.offers(kind, ctx, begun)

    return complete


_evidence_option = click.option(
    "--evidence",
    type=click.Choice(["full", "findings"]),
    default="full",
    show_default=True,
    help="Figures of what passed on the page: all, or none.",
)


def _selection_options(function: _F) -> _F:
    for option in (
        click.option(
            "--ignore",
            multiple=True,
            metavar="ID",
            help="Skip this check (repeatable).",
            shell_complete=_complete("selections"),
        ),
        click.option(
            "--select",
            multiple=True,
            metavar="ID",
            help="Judge only this check: ID or ID[SUBJECT] (repeatable).",
            shell_complete=_complete("selections"),
        ),
        click.option(
            "--suite",
            multiple=True,
            metavar="NAME",
            help="Judge only this suite (repeatable).",
            shell_complete=_complete("areas"),
        ),
    ):
        function = option(function)
    return function


@main.command()
@config_option
@_selection_options
@click.option("--reference", is_flag=True, help="Judge the bundled reference system.")
@click.option(
    "--provider", help="Where the reference system gets PostgreSQL: docker, local or wheel."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="EFFECT",
    help="Allow an effect: load or disrupt (repeatable).",
)
@click.option(
    "--confirm", default="", metavar="FINGERPRINT", help="Fingerprint printed by `readiness plan`."
)
@click.option(
    "-n",
    "workers",
    default="auto",
    metavar="WORKERS",
    help="Number of parallel workers; auto: four, none for few checks, never more than files.",
)
@click.option(
    "--reports",
    default=Path("reports"),
    type=click.Path(path_type=Path),
    help="Folder for the reports.",
    show_default=True,
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Record to compare with (default: the previous run).",
)
@click.option("--report-only", is_flag=True, help="Exit 0 whatever the verdict.")
@click.option(
    "--attest",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write what was judged as an in-toto statement about [target] image.",
)
@_evidence_option
@click.option("--debug", is_flag=True, help="Also write pytest.html, the log of the test runner.")
@click.option("-v", "--verbose", is_flag=True, help="Also print every finding with its fix.")
def run(**asked: Any) -> None:
    """Judge the target (the default command)."""
    from readiness.cli import run as command

    sys.exit(command.run(**asked))


@main.command()
@click.argument("path", default=Path("readiness.toml"), type=click.Path(path_type=Path))
@click.option("--url", help="The service: its health, metrics and version pages are found.")
@click.option("--dsn", help="The database; '${VARIABLE}' for its password.")
@click.option("--prometheus", metavar="URL", help="Its scrape jobs and alert rules are found.")
@click.option("--alertmanager", metavar="URL", help="Its routes and receivers are found.")
@click.option("--backups", metavar="FOLDER", help="The folder of the database's dumps.")
@click.option(
    "--context", help="Of kubectl: the workloads of a cluster are read, with --namespace."
)
@click.option("--namespace", help="The namespace of the workloads.")
@click.option("--name", help="Name of the target (default: that of the folder).")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--template", is_flag=True, help="Write every key with its meaning instead.")
def init(**asked: Any) -> None:
    """Write a readiness.toml of what is found: at the addresses, and in the folder of PATH.

    Nothing is changed but new files: PATH, and files to review.
    """
    from readiness.cli import init as command

    command.run(command.Asked(**asked))


@main.command()
@config_option
@click.option("--reference", is_flag=True, help="Check what the reference system needs.")
@click.option("--sql", is_flag=True, help="Print only the SQL of missing privileges.")
@format_option
def doctor(config: Path | None, reference: bool, sql: bool, form: str) -> None:
    """Check that every program and endpoint the checks need is available."""
    from readiness.cli import doctor as command

    sys.exit(command.run(config, reference=reference, form=form, sql=sql))


@main.command()
@config_option
@_selection_options
@format_option
def plan(**asked: Any) -> None:
    """Show what would run, and the target's fingerprint."""
    from readiness.cli import plan as command

    sys.exit(command.run(**asked))


@main.command(name="list")
@config_option
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text")
@click.option(
    "--judgements",
    is_flag=True,
    help="List the judgements of each check and the faults that prove them.",
)
def list_(config: Path | None, form: str, *, judgements: bool) -> None:
    """List every check."""
    from readiness.cli import explain as command

    if judgements:
        command.show_judgements(config)
    else:
        command.show_all(config, form)


@main.command()
@click.argument("id", shell_complete=_complete("ids"))
@config_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def explain(id: str, config: Path | None, form: str) -> None:  # noqa: A002 - as the help says it
    """Explain one check: why, how to fix it, what proves it."""
    from readiness.cli import explain as command

    command.show_one(id, config, form)


@main.command()
@click.option(
    "-k", "pattern", default="", help="Only faults whose name or checks contain this text."
)
@click.option("--quick", is_flag=True, help="One fault per judgement; run only its own suite.")
@click.option("--sample", is_flag=True, help="One fault per check; run only its own suite.")
@click.option(
    "--healthy", default=5, show_default=True, help="Number of runs of the healthy system."
)
@click.option(
    "-n", "systems", default=2, show_default=True, help="Number of reference systems in parallel."
)
@click.option("--provider", help="Where PostgreSQL comes from: docker, local or wheel.")
@click.option(
    "--optional",
    multiple=True,
    metavar="PART",
    help="A part that this machine may lack (repeatable).",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--html", type=click.Path(path_type=Path), help="Also write the table as a page.")
def prove(**asked: Any) -> None:
    """Prove the checks: break the reference system and see that they fail."""
    from readiness import reference

    reference.require()
    from readiness.cli import prove as command

    sys.exit(command.run(**asked))


@main.command()
@config_option
def recover(config: Path | None) -> None:
    """Restore the target after an interrupted drill."""
    from readiness.cli import recover as command

    sys.exit(command.run(config))


@main.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--reports", default=Path("reports"), type=click.Path(path_type=Path), show_default=True
)
@_evidence_option
def report(records: tuple[Path, ...], reports: Path, evidence: "EvidenceShown") -> None:
    """Write all reports again from a record, or one summary over those of several targets.

    The summary is summary.html and summary.md in the folder; the exit code is the worst.
    """
    from readiness.cli import records as command

    sys.exit(command.report(records, reports, evidence))


@main.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--verify", is_flag=True, help="Write nothing: is FILE the statement of RECORD?")
def attest(record: Path, file: Path, *, verify: bool) -> None:
    """Write the in-toto statement about a record to FILE; exit 1 unless it says PASSED."""
    from readiness.cli import records as command

    sys.exit(command.attest(record, file, verify=verify))


@main.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
    help="For a terminal, a comment, a ticket or programs.",
)
@click.option(
    "--exit-code", is_flag=True, help="Exit 1 if a check newly fails or is no longer judged."
)
def diff(old: Path, new: Path, form: str, exit_code: bool) -> None:
    """Show what changed from one record to another."""
    from readiness.cli import records as command

    sys.exit(command.diff(old, new, form, exit_code=exit_code))


@main.command(name="show")
@click.argument("record", default=Path("reports/readiness.json"), type=click.Path(path_type=Path))
@click.option("--causes", is_flag=True, help="Only what to do, in order, and what it unblocks.")
@click.option(
    "--check",
    default="",
    metavar="ID",
    help="Everything about one check: ID or ID[SUBJECT].",
    shell_complete=_complete("recorded"),
)
def show_record(record: Path, causes: bool, check: str) -> None:
    """Show the details of a run from its record (default: reports/readiness.json)."""
    from readiness.cli import records as command

    command.show(record, only_causes=causes, check=check)


@main.command()
@config_option
@format_option
def waivers(config: Path | None, form: str) -> None:
    """List the waivers and other decisions, with owner and expiry."""
    from readiness.cli import policy as command

    command.waivers(config, form)


@main.command()
@click.argument("item", required=False)
@config_option
@click.option("--by", "--person", "person", help="Who attests it; not the deployer.")
@click.option("--evidence", help="An address that answers, or a file beside readiness.toml.")
@click.option("--release", help="The release it is for (default: the target's).")
@click.option("--expires", help="The last day on which it is valid, as YYYY-MM-DD.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="SSH key to sign it with, as git does."
)
@click.option("--write", is_flag=True, help="Append it to the file instead of printing it.")
@click.option("--check", is_flag=True, help="Exit 1 unless every required item is signed.")
@format_option
def signoff(**asked: Any) -> None:
    """List the sign-offs, show what one requires, or add one."""
    from readiness.cli import policy as command

    sys.exit(command.signoff(command.Asked(**asked)))


@main.group()
def config() -> None:
    """Show, check and describe readiness.toml."""


@config.command()
@config_option
def show(config: Path | None) -> None:
    """Show every effective value and its origin."""
    from readiness.cli import policy as command

    command.show(config)


@config.command()
@config_option
@format_option
def check(config: Path | None, form: str) -> None:
    """Check the file without contacting the target."""
    from readiness.cli import policy as command

    sys.exit(command.check(config, form))


@config.command()
def schema() -> None:
    """Print the JSON schema of the file."""
    from readiness.config.schema import render

    click.echo(render(), nl=False)

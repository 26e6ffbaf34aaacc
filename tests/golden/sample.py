"""Makes `reports/sample/` and its picture in docs/: a real run on a system with four faults.

    make sample

Run it where paths and names may be published: they are those of the machine.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from readiness.config.loading import load
from readiness.model.check import Effect
from readiness.reference.system import ReferenceSystem
from readiness.run import catalogue, marker
from readiness.run.progress import Silent
from readiness.run.safety import fingerprint
from readiness.run.supervisor import Options, run
from tests.support.browser import Browser

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "reports" / "sample"
PICTURE: Final = ROOT / "docs" / "report.png"
FAULTS: Final = (
    "backup_job_stopped",
    "balancer_learns_late",
    "foreign_key_without_index",
    "slack_template_is_empty",
)
FILES: Final = ("readiness.html", "readiness.json", "readiness.md")


def main() -> None:
    """Break the reference system, judge it as `readiness run` does, and keep the reports."""
    faults = {fault.name: fault for fault in catalogue.faults()}
    with ReferenceSystem.start() as system, tempfile.TemporaryDirectory() as reports:
        with ExitStack() as broken:
            for name in FAULTS:
                broken.enter_context(faults[name].apply(system))
            loaded = load(system.config_path, os.environ | system.environ)
            seen = marker.environment(loaded.config)
            options = Options(
                loaded,
                Path(reports),
                allow=tuple(effect.value for effect in Effect if effect.needs_quiet),
                confirm=fingerprint(loaded.config, seen.environment),
                environ=system.environ,
            )
            ended = run(options, Silent())
        for name in FILES:
            shutil.copy(Path(reports) / name, FOLDER / name)
        browser = Browser(Path(reports))
        browser.page = FOLDER / "readiness.html"
        browser.picture(PICTURE, height=1400)
    print(ended.record.verdict if ended.record else ended.refusal)  # noqa: T201 - a command


if __name__ == "__main__":
    main()

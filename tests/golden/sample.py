"""Makes `reports/sample/`: the page that the documentation shows, from an invented run.

PYTHONPATH=. python tests/golden/sample.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sample_record import sample

from readiness.report import files, html, markdown

FOLDER = Path(__file__).parents[2] / "reports" / "sample"


def write(folder: Path = FOLDER) -> None:
    record = sample()
    files.write(folder / "readiness.json", [record.to_json()])
    files.write(folder / "readiness.html", html.render(record))
    files.write(folder / "readiness.md", [markdown.render(record)])


if __name__ == "__main__":
    write()

"""The manifests of the shop, and what a cluster would say of it: nothing here needs one."""

from importlib import resources
from pathlib import Path
from typing import Final

FOLDER: Final = "kubernetes"


def copy_files(folder: Path) -> Path:
    """Put the manifests into a folder, as the repository of the shop would have them."""
    target = folder / FOLDER
    target.mkdir()
    source = resources.files("readiness.areas.scaling.reference").joinpath(FOLDER)
    for file in source.iterdir():
        if file.name.endswith((".yaml", ".json")):
            (target / file.name).write_bytes(file.read_bytes())
    return target

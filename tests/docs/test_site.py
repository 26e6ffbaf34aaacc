"""The documentation as pages: what a link opens is there, and axe-core finds nothing."""

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

from readiness.servers.programs import AbsentError
from tests.support.browser import SCHEMES, Browser, Scheme
from tests.support.processes import skip

ROOT: Final = Path(__file__).parents[2]
# Of each kind one: the entry, steps, much code, tables, and the two long ones that are generated.
SHOWN: Final = ("index", "tutorial", "how-to/performance", "integrations/messages", "exit-codes",
                "checks", "configuration")  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("material") is None:
        skip(AbsentError("mkdocs-material is not installed", remedy="make docs-site"))
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder,
         "--config-file", ROOT / "docs/site/mkdocs.yml"],
        check=True, timeout=120,
    )  # fmt: skip
    return folder


class _Page(HTMLParser):
    """What can be linked to in a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag, name) == ("a", "name"):
                self.anchors.add(value or "")
            elif name in {"href", "src"}:
                self.links.add(value or "")


def _dead(site: Path) -> Iterator[str]:
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 50
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else {""}
            if not target.exists() or unquote(parts.fragment) not in known:
                yield f"{path.relative_to(site)}: {link}"


def test_no_link_of_the_site_is_dead(site: Path) -> None:
    assert list(_dead(site)) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation(site: Path, tmp_path: Path, scheme: Scheme) -> None:
    browser = Browser(tmp_path)
    for name in SHOWN:
        browser.page = site / f"{name}.html"
        assert (name, browser.audit(scheme)["violations"]) == (name, [])

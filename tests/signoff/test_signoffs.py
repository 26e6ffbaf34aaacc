import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.cli.policy import append_signoff, as_toml
from readiness.config.base.signoffs import Signoff, SignoffPolicy
from readiness.config.base.tables import Config, Target
from readiness.config.loading import load
from readiness.lib.signoffs import SignoffState, state
from readiness.model.errors import ConfigError, UsageError

TODAY = date(2026, 3, 10)


def signoff(
    item: str = "runbook", person: str = "Ann", release: str = "1.2", expires: date = TODAY
) -> Signoff:
    return Signoff(item=item, person=person, evidence="DOC-1", release=release, expires=expires)


IMAGE = "registry.example.com/shop@sha256:" + "ab" * 32


def judged(
    *signoffs: Signoff,
    release: str = "1.2",
    image: str | None = None,
    config_sha256: str = "",
    **policy: object,
) -> SignoffState:
    config = Config(
        target=Target(name="shop", release=release or "unknown", image=image, deployer="Bob"),
        signoffs=SignoffPolicy.model_validate({"required": ["runbook"]} | policy),
        signoff=list(signoffs),
    )
    return state("runbook", config, config_sha256=config_sha256, today=TODAY)


def test_signed_through_its_last_day() -> None:
    assert judged(signoff()) == SignoffState("runbook", True, ())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "runbook is not signed for 1.2"),
        ([signoff(item="legal")], "runbook is not signed for 1.2"),
        ([signoff(release="1.1")], "runbook is signed for 1.1, not for 1.2"),
        ([signoff(expires=date(2026, 3, 9))], "the sign-off of Ann expired on 2026-03-09"),
        (
            [signoff().model_copy(update={"image": IMAGE})],
            "runbook is signed for image sha256:abababababab, not for no image",
        ),
        (
            [signoff().model_copy(update={"config_sha256": "0" * 64})],
            "the configuration changed since Ann signed runbook",
        ),
        ([signoff(person="Bob")], "Bob signed and deploys: four eyes are required"),
        ([signoff(person="  bO B ")], "bO B signed and deploys: four eyes are required"),
        ([signoff(person="\uff22ob")], "\uff22ob signed and deploys: four eyes are required"),
    ],
)
def test_what_does_not_count(given: list[Signoff], problem: str) -> None:
    assert judged(*given) == SignoffState("runbook", False, (problem,))


def test_one_that_counts_is_enough() -> None:
    assert judged(signoff(release="1.1"), signoff(person="Bob"), signoff()).signed


def test_it_counts_for_one_image_whatever_the_registry_is_called() -> None:
    bound = signoff().model_copy(update={"image": IMAGE})
    moved = IMAGE.replace("registry.example.com", "mirror.example.com")
    assert judged(bound, image=moved).signed
    found = judged(bound, image=IMAGE.replace("abab", "acab"))
    assert found.problems == (
        "runbook is signed for image sha256:abababababab, not for image sha256:acabacabacab",
    )
    assert not judged(signoff(), image=IMAGE).signed


def test_four_eyes() -> None:
    ann, cid, bob = signoff(), signoff(person="Cid"), signoff(person="Bob")
    assert judged(ann, four_eyes=["runbook"]).problems == (
        "only Ann signed runbook: four eyes are required",
    )
    assert judged(ann, signoff(person="ANN"), four_eyes=["runbook"]).signed is False
    assert judged(ann, bob, four_eyes=["runbook"]).signed
    assert judged(ann, cid, four_eyes=["runbook"]).signed
    assert judged(ann, bob, four_eyes=["runbook"], authors=["Ann"]).problems == (
        "only who made or deploys the release signed (Ann, Bob): four eyes are required",
    )


@pytest.mark.parametrize("release", ["", "unknown", " Unknown "])
def test_no_sign_off_counts_for_a_release_that_nobody_knows(release: str) -> None:
    found = judged(signoff(release=release or "x"), release=release)
    assert not found.signed
    assert "release is unknown" in found.problems[0]


FILE = """# mine
[target]
name = "shop"   # stays
deployer = "Bob"
[services.api]
url = "http://localhost"
bearer = "${NOT_SET_HERE}"
[signoffs]
required = ["runbook", "legal"]"""


def loaded(path: Path, **environ: str) -> list[dict[str, object]]:
    """The sign-offs of a file, without where they stand there."""
    return [each.model_dump() for each in load(path, environ).config.signoff]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "readiness.toml"
    path.write_text(FILE)
    return path


def test_a_sign_off_is_added_and_nothing_else_changes(path: Path) -> None:
    path.chmod(0o640)
    append_signoff(path, signoff())
    append_signoff(path, signoff(item="legal"))
    assert path.read_text().startswith(FILE + "\n\n[[signoff]]\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert loaded(path, NOT_SET_HERE="correct-horse") == [
        signoff().model_dump(),
        signoff(item="legal").model_dump(),
    ]
    assert [p.name for p in path.parent.iterdir()] == ["readiness.toml"]


def test_the_line_ends_of_windows_stay(path: Path) -> None:
    path.write_bytes(FILE.replace("\n", "\r\n").encode())
    append_signoff(path, signoff())
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") > 10


def test_a_link_stays_a_link(path: Path) -> None:
    link = path.with_name("link.toml")
    link.symlink_to(path.name)
    append_signoff(link, signoff())
    assert link.is_symlink()
    assert "[[signoff]]" in path.read_text()


def test_in_a_pyproject(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    tables = FILE.replace("[target", "[tool.readiness.target").replace("[s", "[tool.readiness.s")
    path.write_text(tables)
    append_signoff(path, signoff())
    assert tomllib.loads(path.read_text())["tool"]["readiness"]["signoff"][0]["item"] == "runbook"


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_any_text_comes_back_as_it_was_signed(
    tmp_path_factory: pytest.TempPathFactory, person: str, evidence: str
) -> None:
    if not (person.strip() and evidence.strip()):
        return
    path = tmp_path_factory.mktemp("any") / "readiness.toml"
    path.write_text(FILE.replace("${NOT_SET_HERE}", "${SET}"))
    given = Signoff(
        item="runbook", person=person, evidence=evidence, release="${X}$${", expires=TODAY
    )
    append_signoff(path, given)
    assert loaded(path, SET="correct-horse") == [given.model_dump()]


@pytest.mark.parametrize("environ", [{}, {"NOT_SET_HERE": "correct-horse"}])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (signoff(), r"\[\[signoff\]\] item: duplicate entry 'runbook' and '1.2' and 'Ann'"),
        (signoff(item="runbok"), "no sign-off of 'runbok' is required. Did you mean 'runbook'"),
    ],
)
def test_one_that_would_be_wrong_is_refused_whatever_is_set(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    given: Signoff,
    problem: str,
) -> None:
    append_signoff(path, signoff())
    before = path.read_bytes()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=problem):
        append_signoff(path, given)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("signoff = []\n" + FILE, "is not valid TOML|given twice"),
        (FILE + "\nnme = 1", "unknown key 'nme'"),
        ('signoff = "${NOT_SET}"\n' + FILE, "is not valid TOML|given twice"),
        ("[target", "is not valid TOML"),
    ],
)
def test_a_file_that_is_not_right_is_left_as_it_is(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        append_signoff(path, signoff())
    assert path.read_text() == text


def test_a_file_that_cannot_be_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        append_signoff(path, signoff())
    assert [p.name for p in path.parent.iterdir()] == ["readiness.toml"]
    assert path.read_text() == FILE


def test_a_change_by_somebody_else_is_not_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chmod = Path.chmod

    def meanwhile(self: Path, mode: int) -> None:
        chmod(self, mode)
        path.write_text(FILE + "\n# theirs\n")

    monkeypatch.setattr(Path, "chmod", meanwhile)
    with pytest.raises(UsageError, match="changed while the sign-off"):
        append_signoff(path, signoff())
    assert path.read_text().endswith("# theirs\n")


def test_block_is_toml() -> None:
    assert as_toml(signoff(person='A "B" \\ ${C}\x7f')) == (
        '[[signoff]]\nitem = "runbook"\nperson = "A \\"B\\" \\\\ $${C}\\u007f"\n'
        'evidence = "DOC-1"\nrelease = "1.2"\nexpires = 2026-03-10\n'
    )

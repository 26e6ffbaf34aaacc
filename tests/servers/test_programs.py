"""Where programs come from, and what is said when they cannot be had."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.servers import programs
from readiness.servers.binaries import find_binaries
from readiness.servers.files import CACHE, cache_folder
from readiness.servers.programs import WITHOUT, AbsentError, Program

INVENTED = Program(("invented", "debian-invented"), "invented-package")
BOTH = Program(("other",), "other-package")
SHOWN = Program(("shown",), "shown-package", needs="/usr/share/nowhere/default.tmpl")

APT_GET = """\
#!/bin/sh
own=${0%/*}
PATH=/usr/bin:/bin
shift  # the configuration
echo "$*" >> "$own/calls"
[ -e "$own/apt-get.fails" ] && case "$*" in *"$(cat "$own/apt-get.fails")"*)
  [ "$2" = download ] && echo half > half_1_all.deb
  echo "E: Hash Sum mismatch" >&2; exit 100;;
esac
case "$*" in
  *--print-uris*)
    for name; do
      case "$name" in -*|install) continue;; esac
      test -e "$own/archive/$name.deb" && continue
      echo "E: Unable to locate package $name" >&2; exit 100
    done
    for file in "$own"/archive/*.deb; do
      name=$(basename "$file" .deb)
      echo "'http://debian.test/$name.deb' ${name}_1_all.deb $(stat -c %s "$file") SHA256:0"
    done;;
  *download*)
    while [ -e "$own/gate" ] && [ "$(ls "$own/gate" | wc -l)" -lt 4 ]; do sleep 0.02; done
    shift 2
    for name; do cp "$own/archive/$name.deb" "${name}_1_all.deb"; done;;
esac
"""
DPKG_DEB = """\
#!/bin/sh
PATH=/usr/bin:/bin
exec tar -C "$3" -xf "$2"
"""
SCRIPT = '#!/bin/sh\necho "$LD_LIBRARY_PATH|$*"\n'
GETS = """
import os, sys
from pathlib import Path
from readiness.servers import programs
(Path(sys.argv[1]) / str(os.getpid())).touch()
print(programs.get(programs.Program(("debian-invented",), "invented-package")))
"""


class Archive:
    """An apt and a dpkg-deb of shell scripts, and the packages that they have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "archive").mkdir(parents=True)
        for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
            self._write(folder / name, text)

    def add(self, package: str, *paths: str, text: str = SCRIPT, mode: int = 0o755) -> None:
        """A package with these files, all of them with the same text."""
        tree = self.folder / "tree" / package
        for path in paths:
            self._write(tree / path, text, mode)
        with tarfile.open(self.folder / "archive" / f"{package}.deb", "w") as deb:
            deb.add(tree, ".")

    def fails(self, words: str) -> None:
        """Let each call with these words fail; none if they are empty."""
        file = self.folder / "apt-get.fails"
        file.write_text(words) if words else file.unlink()

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    @staticmethod
    def _write(path: Path, text: str, mode: int = 0o755) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


def forget() -> None:
    """What a process remembers."""
    programs._tried.clear()
    programs._tried_again.cache_clear()


def says(program: str, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive(tmp_path / "bin")
    made.add("invented-package", "usr/bin/debian-invented")
    monkeypatch.setenv("PATH", str(made.folder))
    return made


def leftovers(cache: Path) -> list[Path]:
    return [*cache.glob("*/work-*"), *cache.glob("*/layers-*/*")]


def test_program_on_path_is_used(archive: Archive, cache: Path) -> None:
    archive._write(archive.folder / "debian-invented", SCRIPT)
    assert programs.get(INVENTED) == str(archive.folder / "debian-invented")
    assert not archive.calls
    assert not cache.exists()


def test_program_in_sbin_is_found_although_not_on_path(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive._write(tmp_path / "sbin" / "invented", SCRIPT)
    monkeypatch.setattr(programs, "_SERVER_FOLDERS", (str(tmp_path / "sbin"),))
    assert programs.find(INVENTED) == str(tmp_path / "sbin" / "invented")


def test_unpacked_program_runs_with_its_libraries(archive: Archive, cache: Path) -> None:
    archive.add("libthing1", "usr/lib/x86_64-linux-gnu/libthing.so.1")
    path = programs.get(INVENTED)
    assert Path(path).is_relative_to(cache)
    libraries, _, arguments = says(path, "a b", "c").partition("|")
    assert arguments == "a b c"
    assert (Path(libraries.split(":")[0]) / "libthing.so.1").is_file()


def test_unpacked_program_is_found_without_apt(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = programs.get(INVENTED)
    forget()
    monkeypatch.setenv("PATH", "/nowhere")
    assert programs.find(INVENTED) == path
    assert programs.get(INVENTED) == path
    assert len(archive.calls) == 3  # update, plan, download


def test_find_downloads_nothing(archive: Archive) -> None:
    with pytest.raises(AbsentError, match="invented is not installed") as told:
        programs.find(INVENTED)
    assert told.value.remedy == "apt-get install invented-package"
    assert not archive.calls


def test_missing_programs_are_downloaded_together(archive: Archive) -> None:
    archive.add("other-package", "usr/sbin/other")
    archive._write(archive.folder / "here", SCRIPT)
    said: list[str] = []
    here = Program(("here",), "here-package")
    assert programs.fetch((INVENTED, BOTH, here), said.append) == ""
    (plan,) = [call for call in archive.calls if "--print-uris" in call]
    assert plan.endswith("install invented-package other-package")
    assert says(programs.find(BOTH)).endswith("|")
    assert said[0].startswith("Downloading 2 packages, ")
    assert said[0].endswith(f" MB, into {os.environ[CACHE]}")


def test_unused_packages_and_files_are_left_out(archive: Archive, cache: Path) -> None:
    for name in ("libllvm14", "libjs-jquery", "locales", "perl", "libjson-perl", "libc6", "ucf"):
        archive.add(name, f"usr/lib/{name}")
    archive.add("libc-ares2", "usr/lib/libcares.so.2", "usr/share/doc/libc-ares2/copyright")
    programs.get(INVENTED)
    downloads = " ".join(call for call in archive.calls if "download" in call).split()
    assert {w for w in downloads if not w.startswith("-")} == {
        "download", "invented-package", "libc-ares2",
    }  # fmt: skip
    assert not list(cache.glob("*/layers-*/*/usr/share/doc"))


def test_setuid_bits_are_removed(archive: Archive, cache: Path) -> None:
    archive.add("libthing1", "usr/lib/libthing-helper", mode=0o4755)
    programs.get(INVENTED)
    (helper,) = cache.glob("*/layers-*/*/usr/lib/libthing-helper")
    assert helper.stat().st_mode & 0o7777 == 0o755


@pytest.mark.usefixtures("archive")
def test_cache_is_accessible_whatever_the_umask(cache: Path) -> None:
    before = os.umask(0o077)
    try:
        path = Path(programs.get(INVENTED))
    finally:
        os.umask(before)
    for place in (path, *path.parents):
        if place.is_relative_to(cache):
            assert place.stat().st_mode & 0o005 == 0o005, place


def test_concurrent_processes_download_once(archive: Archive, cache: Path) -> None:
    (archive.folder / "gate").mkdir()  # no download ends before all four are there
    command = [sys.executable, "-c", GETS, str(archive.folder / "gate")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert told == {programs.find(INVENTED)}
    assert len([call for call in archive.calls if "download" in call]) == 1
    assert len(list(cache.glob("*/layers-*/*"))) == 1


@pytest.mark.parametrize("step", ["download", "--print-uris"])
def test_failed_download_is_reported_once_and_leaves_nothing(
    archive: Archive, cache: Path, step: str
) -> None:
    archive.fails(step)
    for _ in range(2):
        with pytest.raises(AbsentError, match="Hash Sum mismatch") as told:
            programs.get(INVENTED)
        assert told.value.remedy == "apt-get install invented-package"
    assert len([call for call in archive.calls if step in call]) == 1
    assert not leftovers(cache)
    forget()
    archive.fails("")
    assert says(programs.get(INVENTED))  # the next process succeeds


def test_broken_package_leaves_nothing(archive: Archive, cache: Path) -> None:
    (archive.folder / "archive" / "invented-package.deb").write_text("half of a package")
    with pytest.raises(AbsentError, match="cannot be downloaded"):
        programs.get(INVENTED)
    assert not leftovers(cache)


def test_remains_of_a_killed_process_are_removed(archive: Archive, cache: Path) -> None:
    programs.get(INVENTED)
    (home,) = cache.iterdir()
    (home / "work-killed" / "tree").mkdir(parents=True)
    archive.add("other-package", "usr/bin/other")
    programs.get(BOTH)
    assert not list(home.glob("work-*"))


def test_old_package_lists_may_be_enough(archive: Archive) -> None:
    archive.fails("update")
    assert says(programs.get(INVENTED))


def test_package_missing_in_this_release_does_not_affect_others(
    archive: Archive,
) -> None:
    programs.fetch((INVENTED, BOTH))
    assert says(programs.find(INVENTED))
    before = archive.calls
    forget()
    for look in (programs.find, programs.get):
        with pytest.raises(AbsentError, match="other-package does not exist for this release"):
            look(BOTH)
    assert archive.calls == before  # it is not tried again by every process


def test_package_without_the_program_is_reported(archive: Archive) -> None:
    archive.add("other-package", "usr/bin/another")
    with pytest.raises(AbsentError, match="the package other-package does not have it"):
        programs.get(BOTH)


def test_program_that_does_not_run_is_absent_with_the_reason(archive: Archive) -> None:
    text = "#!/bin/sh\necho 'cannot open libmissing.so.3' >&2\nexit 127\n"
    archive.add("invented-package", "usr/bin/debian-invented", text=text)
    with pytest.raises(AbsentError, match=r"does not run here: cannot open libmissing\.so\.3"):
        programs.get(INVENTED)


def test_unwritable_cache_is_reported_with_a_remedy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file" / "cache"))
    with pytest.raises(AbsentError, match="READINESS_CACHE=FOLDER"):
        programs.get(INVENTED)
    assert not archive.calls


def test_other_system_than_debian_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AbsentError, match="not a Debian system"):
        programs.get(INVENTED)


def test_disabled_program_is_absent_and_not_downloaded(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive._write(archive.folder / "debian-invented", SCRIPT)
    monkeypatch.setenv(WITHOUT, "other, invented")
    for way in (programs.find, programs.get):
        with pytest.raises(AbsentError, match="is disabled by"):
            way(INVENTED)
    assert programs.fetch([INVENTED, BOTH]) == ""
    assert not archive.calls


def test_disabled_apt_get_downloads_nothing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WITHOUT, "apt-get")
    with pytest.raises(AbsentError, match="apt-get is disabled"):
        programs.get(INVENTED)
    assert not archive.calls


def test_disabled_postgres_leaves_the_wheel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(programs.POSTGRES_FOLDER, raising=False)
    monkeypatch.setenv(WITHOUT, "postgres")
    assert find_binaries().origin == "wheel"


def test_proot_provides_a_fixed_path_without_mounts(archive: Archive) -> None:
    proot = '#!/bin/sh\necho "$2"\nwhile [ "$1" = -b ]; do shift 2; done\nexec "$@"\n'
    archive.add("libproot", "usr/bin/proot", text=proot)
    archive.add("shown-package", "usr/bin/shown", "usr/share/nowhere/default.tmpl")
    shown, ran = says(programs.get(SHOWN), "--now").splitlines()  # there is no unshare on PATH
    source, _, target = shown.partition(":")
    assert target == "/usr/share"
    assert (Path(source) / "nowhere" / "default.tmpl").is_file()
    assert ran.endswith("|--now")


def test_unavailable_fixed_path_is_reported(archive: Archive) -> None:
    archive.add("libproot", "usr/bin/proot", text="#!/bin/sh\necho no ptrace >&2\nexit 1\n")
    archive.add("shown-package", "usr/bin/shown", "usr/share/nowhere/default.tmpl")
    with pytest.raises(AbsentError, match="does not run here: no ptrace"):
        programs.get(SHOWN)


def test_unpacked_postgres_looks_installed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "INSTALLED_POSTGRES", ())
    monkeypatch.delenv(programs.POSTGRES_FOLDER, raising=False)
    release = "usr/lib/postgresql/15"
    text = '#!/bin/sh\necho "$(PATH=/bin:/usr/bin basename "$0") (PostgreSQL) 15.9 (Debian)"\n'
    names = (f"{release}/bin/{name}" for name in programs.POSTGRES_PROGRAMS)
    archive.add("postgresql-15", *names, f"{release}/lib/bitcode/x.bc", f"{release}/lib/llvmjit.so",
                f"{release}/lib/pg_stat_statements.so", text=text)  # fmt: skip
    archive.add("postgresql", "usr/share/x")
    assert programs.fetch((programs.POSTGRES,)) == ""
    found = find_binaries("local")
    assert (found.version, found.origin) == ("15.9", "local")
    assert says(str(found.program("pg_dump"))) == "pg_dump (PostgreSQL) 15.9 (Debian)"
    libraries = sorted(path.name for path in found.folder.parent.glob("lib/**/*"))
    assert libraries == ["pg_stat_statements.so"]
    before = archive.calls
    forget()
    assert programs.fetch((programs.POSTGRES,)) == ""
    assert archive.calls == before


def test_program_of_a_wheel_is_found_next_to_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    wheel = Program(("invented-tool",), wheel="invented")
    with pytest.raises(AbsentError) as told:
        programs.find(wheel)
    assert told.value.remedy == "pip install invented"
    (tmp_path / "invented-tool").touch()
    assert programs.find(wheel) == str(tmp_path / "invented-tool")


@pytest.mark.parametrize(
    ("uid", "mode", "expected"),
    [(0, 0o755, "xdg/readiness"), (0, 0o700, "/var/cache/readiness"), (1, 0o700, "xdg/readiness")],
)
def test_cache_of_root_is_accessible_to_the_server_account(
    monkeypatch: pytest.MonkeyPatch, uid: int, mode: int, expected: str
) -> None:
    place = Path("/tmp") / f"readiness-test-{os.getpid()}"
    xdg = place / "xdg"
    xdg.mkdir(parents=True)
    try:
        place.chmod(0o755)
        xdg.chmod(mode)
        monkeypatch.delenv(CACHE)
        monkeypatch.setenv("XDG_CACHE_HOME", str(xdg))
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        assert cache_folder() == place / expected
    finally:
        shutil.rmtree(place)

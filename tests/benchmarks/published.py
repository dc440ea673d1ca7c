"""Makes the library of published systems: `make published`.

`fit` fits S(b) of every pair and writes backends/simulated/curves/published.csv; `write` writes the
folders in user_confs/published/ from it; `judge` writes docs/results/published.md. Without a word:
all three, half an hour on two cores.
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import Pool

from sut.base.environment import ROOT
from tests.published import files
from tests.published.fit import fit
from tests.published.judge import judge
from tests.published.page import page
from tests.published.pairs import pairs
from tests.tidy import tidy

PAGE = ROOT / "docs" / "results" / "published.md"
STEPS = ("fit", "write", "judge")


def main() -> int:
    """Do the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="*", help=f"{', '.join(STEPS)} (all)")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    steps, found = arguments.step or STEPS, pairs()
    if unknown := set(steps) - set(STEPS):
        parser.error(f"{', '.join(sorted(unknown))}: expected {', '.join(STEPS)}")
    with Pool(arguments.processes) as pool:
        if "fit" in steps:
            fits = pool.map(fit, found, chunksize=1)
            keys = [(pair.system, pair.benchmark) for pair in found]
            files.write({files.CURVES: files.curves_text(dict(zip(keys, fits, strict=True)))})
        if "write" in steps:
            files.write(files.folder_files(found))
        if "judge" in steps:
            curves = files.read_curves()
            own = [curves[pair.system, pair.benchmark] for pair in found]
            judged = pool.starmap(judge, zip(found, own, strict=True), chunksize=1)
            kinds = [curve.provenance for curve in own]
            files.write({PAGE: page(list(zip(found, kinds, judged, strict=True)))})
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))

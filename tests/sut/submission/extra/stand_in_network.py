"""A tree of the network division for resnet50, made with a stand-in, for the official tools.

    python -m tests.sut.submission.extra.stand_in_network DIR [ROUND]

is `stand_in` with sixteen nodes on loopback, one a test. Its tests are of full length, and take
about eleven minutes. Every file says STAND-IN, and `sut check` refuses the tree.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from data.rounds import LATEST
from tests.sut.helpers.nodes import cluster_file, running_node
from tests.sut.submission.extra.stand_in import make, of_resnet50
from tests.tidy import tidy

WHY = "no model, no device, no ImageNet and no network: zeros after a sleep, over loopback"
TESTS = 16


def main(folder: Path, round_name: str) -> int:
    """Make what is missing in `folder`; return 0 when four results are in the tree."""
    given = of_resnet50(folder, round_name)
    with ExitStack() as started:
        clusters = []
        for number in range(TESTS):
            node = started.enter_context(running_node())
            place = folder / f"node-{number}"
            place.mkdir(exist_ok=True)
            clusters.append(cluster_file(place, node))
        module = "tests.sut.submission.extra.stand_in_network"
        return make(
            folder,
            replace(given, why=WHY, module=module, division="network", clusters=tuple(clusters)),
        )


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(Path(sys.argv[1]).absolute(), *(sys.argv[2:] or [LATEST]))))

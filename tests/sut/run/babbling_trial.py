"""A test's process that sends its parent what is not an event, and goes on for long."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

LONG_S = 60.0


def main() -> None:
    """Print the benchmark's name of the request."""
    request = json.loads(Path(sys.argv[1]).read_bytes())
    print(request["workload"]["benchmark"], flush=True)
    time.sleep(LONG_S)


if __name__ == "__main__":
    main()

"""`python -m sut` is `sut`."""

import sys

from sut.cli import main

if __name__ == "__main__":
    sys.exit(main())

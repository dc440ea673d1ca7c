"""Imported once by a nursery in tests: sets a variable, as torch's compiler does."""

from __future__ import annotations

import os

os.environ["SUT_SET_BY_AN_IMPORT"] = "yes"

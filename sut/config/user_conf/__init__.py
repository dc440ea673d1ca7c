"""Check a LoadGen user.conf before LoadGen reads it, and write ones that it reads as meant.

LoadGen silently ignores a misspelt name, reads `6e5` as 6 and `010` as 8, and drops the whole file
because of a trailing comment (loadgen/test_settings_internal.cc, `TestSettings::FromConfig`). Knows
nothing of runs: it imports no LoadGen.
"""

from sut.config.user_conf.effective import Entry, UserConf
from sut.config.user_conf.parse import Problem, Reading, load, parse, read
from sut.config.user_conf.render import render

__all__ = ["Entry", "Problem", "Reading", "UserConf", "load", "parse", "read", "render"]

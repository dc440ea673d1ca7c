"""Nothing but the door that users of this field look for: pyproject.toml holds everything."""

from setuptools import setup

setup()

"""Loads: LoadGen, and this program's own. All of them drive the same dispatcher."""

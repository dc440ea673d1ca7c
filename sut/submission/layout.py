"""Where the files of a submission are, by round. Knows only paths.

Source: mlcommons/inference, tools/submission/submission_structure.md and submission_checker's
constants.py (`*_PATH`); for v0.5 v0.5/tools/submission/submission-checker.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.rounds.rules import LayoutName

DIVISIONS = ("closed", "open", "network")
MODEL_MAPPING_FILE = "model_mapping.json"
README_FILE = "README.md"
CALIBRATION_FILE = "calibration.md"
DOCUMENTS = "documentation"  # folder of the submitter's own texts and drawings
MEASUREMENTS_FILE = "measurements.json"
VERIFY_ACCURACY_FILE = "verify_accuracy.txt"
VERIFY_PERFORMANCE_FILE = "verify_performance.txt"


@dataclass(frozen=True, slots=True)
class Submitter:
    """The folder of one submitter in one division; `root` is the tree."""

    root: Path
    layout: LayoutName
    division: str
    name: str

    @property
    def folder(self) -> Path:
        """DIVISION/SUBMITTER."""
        return self.root / self.division / self.name

    @property
    def results(self) -> Path:
        """Its results, in folders of system, benchmark and scenario."""
        return self.folder / "results"

    @property
    def source(self) -> Path:
        """Its source code."""
        return self.folder / ("src" if self.layout == "flat" else "code")

    def system(self, name: str) -> Path:
        """Return the description of a system."""
        return self.folder / "systems" / f"{name}.json"


@dataclass(frozen=True, slots=True)
class Place:
    """One result: a scenario of a benchmark on a system."""

    submitter: Submitter
    system: str
    benchmark: str
    scenario: str

    @property
    def key(self) -> Path:
        """SYSTEM/BENCHMARK/SCENARIO."""
        return Path(self.system, self.benchmark, self.scenario)

    @property
    def results(self) -> Path:
        """The folder with performance/ and accuracy/."""
        return self.submitter.results / self.key

    @property
    def measurements(self) -> Path:
        """The folder with user.conf and README.md."""
        if self.submitter.layout == "flat":
            return self.results
        return self.submitter.folder / "measurements" / self.key

    @property
    def measurements_json(self) -> Path:
        """The measurements file. Its name in v5.1 contains the system and the scenario."""
        if self.submitter.layout == "flat":
            return self.measurements / MEASUREMENTS_FILE
        return self.measurements / f"{self.system}_{self.scenario}.json"

    @property
    def accuracy(self) -> Path:
        """The accuracy run."""
        return self.results / "accuracy"

    def performance(self, number: int = 1) -> Path:
        """Return a performance run; v0.5 has five in Server."""
        return self.results / "performance" / f"run_{number}"

    def audit(self, test: str) -> Path:
        """Return a compliance test's folder."""
        if self.submitter.layout == "flat":
            return self.results / test
        return self.submitter.folder / "compliance" / self.key / test

    def folders(self) -> list[Path]:
        """Return the folders that hold only this result."""
        compliance = self.submitter.folder / "compliance" / self.key
        mine = [self.results, self.measurements, compliance]
        return list(dict.fromkeys(mine))

"""The contract of a task: what a model answers, how answers become records, how they are judged.

A task knows neither files nor engines: `data.accuracy` reads LoadGen's log, workers run the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from data.strict_yaml import StrictStruct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs: TypeAlias = tuple[NDArray[np.generic], ...]
    # Called by a worker's thread: (outputs of the engine, data set indices of the batch) to
    # [n, k] float32, one row a sample, or to n arrays of any size, such as boxes; C-contiguous and
    # new. It borrows the outputs for the call. A record depends on its own sample alone, so that
    # it is the same bit for bit in every batch.
    Made: TypeAlias = NDArray[np.float32] | Sequence[NDArray[np.float32]]
    Records: TypeAlias = Callable[[Outputs, Sequence[int]], Made]

# The right answer to a sample, and the answer of a model. Only the task knows their types.
Label: TypeAlias = Any
Answer: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class FrameFile:
    """What opens `Frames`, as plain data that travels to the workers.

    Attributes:
        height: of the model's input, in pixels.
        width: likewise.
        path: a .npy file with the table of `Frames`; empty: every image fills the input.
    """

    height: int
    width: int
    path: str = ""

    def open(self) -> Frames:
        """Read the table."""
        table = np.load(self.path) if self.path else None
        return Frames(self.height, self.width, table)


@dataclass(frozen=True, slots=True)
class Frames:
    """Where the pixels of a model's input lie in the original images.

    The point (y, x) of the input, in pixels, is at (y * scale_y + offset_y, x * scale_x + offset_x)
    of the original, in fractions of its height and width.

    Attributes:
        height: of the model's input, in pixels.
        width: likewise.
        table: [count, 4] float32 of scale_y, scale_x, offset_y, offset_x by data set index; None:
            every image was stretched to the whole input.
    """

    height: int
    width: int
    table: NDArray[np.float32] | None = None

    def of(self, index: int) -> NDArray[np.float32]:
        """Return scale_y, scale_x, offset_y, offset_x of a sample, [4] float32."""
        if self.table is None:
            return np.array([1 / self.height, 1 / self.width, 0, 0], np.float32)
        row: NDArray[np.float32] = self.table[index]
        return row


class Postprocess(StrictStruct, frozen=True, tag_field="kind"):
    """Base of what a benchmark's `postprocess` may be: plain data that travels to the workers.

    Attributes:
        comparable: two engines that agree give equal records. True for classes, not for numbers.
        needs_frames: `records` must know where the input's pixels lie in the original images.
    """

    comparable: ClassVar[bool] = False
    needs_frames: ClassVar[bool] = False

    @property
    def divides(self) -> bool:
        """Whether the records of a batch cost so much that some threads should share them.

        Then each output has one row a sample.
        """
        return False

    def on_device(self) -> tuple[Mapping[str, str | int | float | bool], Postprocess] | None:
        """Return what an engine is told to do on its device, and what is left for the worker.

        None: all must be done in the worker.
        """
        return None

    def records(self, frames: Frames | None = None) -> Records:
        """Return the function from a batch's outputs to the records that LoadGen logs.

        It is stateless, and can be pickled.

        Args:
            frames: where the input's pixels lie in the original images; None: the input is no
                image. Classes need none.

        Raises:
            ConfigError: this program cannot turn a real engine's outputs into such records.
        """
        raise NotImplementedError

    def classes(self, shape: Sequence[int | None]) -> int | None:
        """Return between how many classes a model with such a first output chooses.

        None: the shape does not tell, or answers are no classes.

        Args:
            shape: of one sample; None is a size that the model leaves open.
        """
        return None

    def check_labels(
        self, labels: Sequence[Label], declared: int | None, classes: int, where: str
    ) -> None:
        """Refuse labels that no answer can ever equal.

        Args:
            labels: of the data set.
            declared: how many classes the benchmark says the data set has; None: it does not.
            classes: as `classes` returned it.
            where: the data set, for messages.

        Raises:
            DataError: some labels are outside the model's classes.
        """


@dataclass(frozen=True, slots=True)
class Score:
    """How good the answers were.

    Attributes:
        metric: the task's name for `value`.
        value: 0 to 1.
        n: samples that were judged.
        good: correct ones; None if a sample as a whole is neither right nor wrong.
        interval_95: 95 % interval of the value; None if unknown.
        line: as MLPerf's accuracy script prints it; the submission checker reads it.
        target: the lowest accepted value; None: no target.
        verdict: value >= target; None without a target, or with too few samples.
        finding: what is probably wrong with labels or postprocess, with the remedy; None: nothing.
    """

    metric: str
    value: float
    n: int
    good: int | None
    interval_95: tuple[float, float] | None
    line: str
    target: float | None = None
    verdict: bool | None = None
    finding: str | None = None

    @property
    def cell(self) -> str:
        """The value as a table shows it."""
        return f"{self.value:.1%}" if self.good is None else f"{self.good} of {self.n}"


def _nothing_missing() -> None:
    """Judge with what is installed."""


@dataclass(frozen=True, slots=True)
class Judge:
    """How answers are judged.

    Attributes:
        read_label: (text, number of classes or None, where it stands) to the label.
        read_answer: (record as LoadGen logged it, where it stands) to the answer.
        score: (answer by index of its sample, labels of all samples) to the score, without a
            target. There is at least one answer.
        check_ready: raises ConfigError if a package is missing that judging needs; called before
            the run.
    """

    read_label: Callable[[str, int | None, str], Label]
    read_answer: Callable[[bytes, str], Answer]
    score: Callable[[Mapping[int, Answer], Sequence[Label]], Score]
    check_ready: Callable[[], None] = _nothing_missing


@dataclass(frozen=True, slots=True)
class Task:
    """What kind of question a model answers.

    Attributes:
        name: `task` of a benchmark file.
        postprocesses: its kinds of postprocess, the default first.
        metric: `accuracy.metric` of a benchmark file; None: no metric.
        judge: of that metric; None: this program computes no accuracy for this task.
        stands_for: the MLPerf benchmark that a model of this task is compared with in the open
            division; None: the user must say.
    """

    name: str
    postprocesses: tuple[type[Postprocess], ...]
    metric: str | None = None
    judge: Judge | None = None
    stands_for: str | None = None

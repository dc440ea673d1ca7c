"""What is computed: a model and the samples for it, resolved once and handed to every process.

Plain data; sut.config.prepare makes it. It says nothing of devices, batches or queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

# Needed at run time: msgspec reads the annotations to decode a request.
from backends.base import EngineSpec, TensorSpec
from data.tasks import AnyPostprocess
from data.tasks.base import FrameFile
from sut.base.files import sha256_file
from sut.base.onnx_file import external_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue
    from data.model import ResolvedModel
    from data.preprocess import SampleSet


@dataclass(frozen=True, slots=True)
class Model:
    """A model file that is there.

    Attributes:
        path: absolute.
        sha256: of its content, and that of the files of its weights, if any.
        origin: where it comes from, in words for a report.
        files: SHA-256 of every other file that holds weights of it, by path.
        of_floats: SHA-256 of the file that this one was made of for pixels; None: of no other.
    """

    path: str
    sha256: str
    origin: str
    files: dict[str, str] = field(default_factory=dict)
    of_floats: str | None = None

    @property
    def identity(self) -> str:
        """The hash that results are compared by: fed with pixels, a model answers the same."""
        return self.of_floats or self.sha256


@dataclass(frozen=True, slots=True)
class Samples:
    """The prepared samples.

    Attributes:
        paths: a .npy file [count, *shape] for each input; empty for an engine that reads none.
        count: samples in the data set.
        frames: where they lie in their images; None: the postprocess needs not know.
        digest: SHA-256 of samples and labels; empty for an engine that reads none.
        files: of their images, where these travel to the nodes of a cluster.
    """

    paths: tuple[str, ...]
    count: int
    frames: FrameFile | None = None
    digest: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """A benchmark with its model and samples.

    Attributes:
        benchmark: its name.
        loadgen_model: selects the lines of mlperf.conf and user.conf.
        model: None for a backend without one.
        inputs: what the model is fed.
        output_name: the model's output, or None for its first.
        postprocess: what becomes of the outputs.
        performance_sample_count: samples in memory at once; LoadGen's mlperf.conf may override it.
        samples: None until they are prepared.
    """

    benchmark: str
    loadgen_model: str
    model: Model | None
    inputs: tuple[TensorSpec, ...]
    output_name: str | None
    postprocess: AnyPostprocess
    performance_sample_count: int
    samples: Samples | None = None

    def engine(
        self,
        backend: str,
        max_batch_size: int,
        device: str = "cpu",
        options: Mapping[str, OptionValue] | None = None,
        slots: int = 1,
    ) -> EngineSpec:
        """Return what opens an engine of this model; see EngineSpec for the arguments."""
        on_device = self.postprocess.on_device()
        return EngineSpec(
            backend=backend,
            model_path=None if self.model is None else self.model.path,
            inputs=self.inputs,
            output_name=self.output_name,
            max_batch_size=max_batch_size,
            device=device,
            options=options or {},
            slots=slots,
            model_sha256=None if self.model is None else self.model.sha256,
            postprocess={} if on_device is None else on_device[0],
        )

    def with_model(self, model: ResolvedModel) -> Workload:
        """Return the same with another file of the model, such as one in another precision."""
        return replace(self, model=model_of(model))

    def with_samples(self, samples: SampleSet | None, *, images: bool = False) -> Workload:
        """Return the same with its samples.

        Args:
            samples: None: the engine reads none.
            images: name their image files, too.
        """
        if samples is None:
            return replace(self, samples=Samples((), self.performance_sample_count))
        paths = tuple(str(path.absolute()) for path in samples.paths)
        folder = samples.folder if images else None
        files = () if folder is None else tuple(str(folder / name) for name in samples.names)
        made = Samples(paths, samples.count, samples.frames, samples.digest, files)
        return replace(self, samples=made)


def model_of(found: ResolvedModel) -> Model:
    """Return a model that was found, as plain data.

    Raises:
        DataError: a file of its weights is missing.
    """
    path = found.path.absolute()
    files = {str(file): sha256_file(file) for file in external_files(path)}
    return Model(str(path), found.sha256, found.origin, files, found.of_floats)

"""Plans on disk: the name contains a hash of all inputs, and a JSON file beside it lists them.

A plan runs only on the TensorRT version and the GPU architecture (SM) that it was built for. Knows
no driver: everything here is checked before a plan is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

# Needed at run time: msgspec reads the annotations to decode a note.
from backends.base import TensorSpec
from backends.tensorrt.profiles import Profile
from sut.base.errors import BatchTooLarge, EngineError
from sut.base.files import sha256_file, temporary_folder

if TYPE_CHECKING:
    from backends.tensorrt.library import Library

SUFFIXES = frozenset({".plan", ".engine", ".trt"})

# The first bytes of a plan, and where its version stands: TensorRT's own trtexec reads them so
# (NVIDIA/TensorRT, samples/common/sampleEngines.cpp, printPlanVersion).
TAGS = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}
HEADER_BYTES = 28
VERSION_AT = 24
# TensorRT-RTX writes the length of the whole plan here.
LENGTH_AT, LENGTH_BYTES = 16, 8


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON beside a plan.

    Attributes:
        library: the package that built it.
        version: of that package.
        sm: the GPU architecture, such as 75.
        model: name of the ONNX file.
        model_sha256: of that file and the files of its weights.
        inputs: of the model, without the batch axis.
        profiles: batch sizes, ascending and without gaps.
        builder_level: TensorRT's builder optimization level.
        workspace_mib: the most scratch memory that a layer may use; None: TensorRT's own limit.
        precision: of most computing layers.
        precision_from: "engine inspector" or "typed network".
        layers: computing layers by precision.
        build_s: how long the build took.
        plan_sha256: of the plan.
        plan_bytes: its size.
    """

    library: str
    version: str
    sm: int
    model: str
    model_sha256: str
    inputs: tuple[TensorSpec, ...]
    profiles: tuple[Profile, ...]
    builder_level: int
    workspace_mib: int | None
    precision: str
    precision_from: str
    layers: dict[str, int]
    build_s: float
    plan_sha256: str
    plan_bytes: int

    @property
    def max_batch_size(self) -> int:
        """The largest batch."""
        return self.profiles[-1].max


@dataclass(frozen=True, slots=True)
class Plan:
    """An intact plan on disk.

    Attributes:
        path: of the plan.
        note: what it was built from; None for a plan without one.
        cached: it was already on disk.
    """

    path: Path
    note: Note | None
    cached: bool = True


def note_path(plan: Path) -> Path:
    """Return where the JSON of a plan lies."""
    return plan.with_suffix(".json")


def save_plan(path: Path, content: bytes, note: Note) -> Plan:
    """Write a plan and its note; each is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The note goes first: cut off between the two, it disowns what lies there.
    _replace(note_path(path), msgspec.json.format(msgspec.json.encode(note), indent=2))
    _replace(path, content)
    return Plan(path, note, cached=False)


def _replace(path: Path, content: bytes) -> None:
    with temporary_folder(path.parent) as folder:
        part = folder / path.name
        part.write_bytes(content)
        part.replace(path)


def read_plan(path: Path, library: Library) -> Plan:
    """Return the plan at `path` after checking that it is whole and of this TensorRT.

    Raises:
        EngineError: it is missing, not a plan, damaged, or of another library or version.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            size = path.stat().st_size
    except OSError as error:
        raise EngineError(
            f"{path}: {error.strerror}; expected a TensorRT plan. Make one with sut build."
        ) from error
    _check_header(path, header, size, library)
    note = _read_note(path)
    if note is not None and sha256_file(path) != note.plan_sha256:
        raise EngineError(
            f"{path}: is damaged: its sha256 is not the one in {note_path(path).name}. Delete it "
            "and run sut build again."
        )
    return Plan(path, note)


def _check_header(path: Path, header: bytes, size: int, library: Library) -> None:
    maker = TAGS.get(header[:4])
    if maker is None or len(header) < HEADER_BYTES:
        raise EngineError(
            f"{path}: is not a TensorRT plan, or is damaged; expected a file that starts with "
            f"{' or '.join(tag.decode() for tag in TAGS)}. Make it again with sut build."
        )
    # Of a version of four parts the last has more digits than the byte here.
    version = tuple(header[VERSION_AT : VERSION_AT + 3])
    wanted = tuple(int(part) for part in library.version.split(".")[:3])
    if (maker, version) != (library.name, wanted):
        raise EngineError(
            f"{path}: was built by {maker} {'.'.join(map(str, version))}, but {library.name} "
            f"{library.version} is installed; a plan runs on the version that built it. Run sut "
            "build again, or install that version."
        )
    length = int.from_bytes(header[LENGTH_AT : LENGTH_AT + LENGTH_BYTES], "little")
    if library.is_rtx and length != size:
        raise EngineError(
            f"{path}: is damaged: it has {size} bytes; expected {length}. Delete it and run sut "
            "build again."
        )


def _read_note(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(note_path(path).read_bytes(), type=Note)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise EngineError(
            f"{note_path(path)}: cannot be read: {error}; expected the JSON of sut build for the "
            "plan beside it. Delete both and run sut build again."
        ) from error


def check_sm(plan: Plan, sm: int, device: str) -> None:
    """Raise EngineError unless a plan with a note runs on a GPU of `sm`.

    A plan without a note is checked by TensorRT itself, when it is loaded.
    """
    if plan.note is not None and plan.note.sm != sm:
        raise EngineError(
            f"{plan.path}: was built for SM {plan.note.sm}, but {device} is SM {sm}; a plan runs on"
            " the architecture that it was built for. Run sut build again on this machine, or with "
            f"--sm {sm}."
        )


def check_batch(path: Path, tensor: str, largest: int, max_batch_size: int) -> None:
    """Raise BatchTooLarge if batches may be larger than the largest optimization profile."""
    if max_batch_size > largest:
        raise BatchTooLarge(
            f'{path}: batches of 1 to max_batch_size {max_batch_size} will come, but tensor "'
            f'{tensor}" has no optimization profile above {largest}. Run sut build '
            f"--max-batch-size {max_batch_size}, or lower max_batch_size to {largest}."
        )

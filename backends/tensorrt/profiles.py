"""Optimization profiles: the batch sizes that an engine takes and is optimized for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIZES = 3


@dataclass(frozen=True, slots=True, order=True)
class Profile:
    """A range of batch sizes.

    Attributes:
        min: the smallest batch.
        opt: the batch for which tactics are chosen.
        max: the largest batch.
    """

    min: int
    opt: int
    max: int

    def __str__(self) -> str:
        return f"{self.min}:{self.opt}:{self.max}"


def one_profile(max_batch_size: int, opt_batch_size: int | None = None) -> tuple[Profile, ...]:
    """Return the profile for batches of 1 to `max_batch_size`, tuned for the largest if None."""
    return check_profiles([Profile(1, opt_batch_size or max_batch_size, max_batch_size)])


def parse_profiles(text: str) -> tuple[Profile, ...]:
    """Return the profiles in `text`, such as "1:1:1,2:16:32".

    Raises:
        ConfigError: another form, or check_profiles refuses it.
    """
    profiles = []
    for part in text.split(","):
        sizes = part.strip().split(":")
        if len(sizes) != _SIZES or not all(size.isdecimal() for size in sizes):
            raise ConfigError(
                f'profiles: "{part.strip()}"; expected MIN:OPT:MAX, such as 1:1:1,2:16:32.'
            )
        profiles.append(Profile(*map(int, sizes)))
    return check_profiles(profiles)


def check_profiles(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """Return `profiles` in ascending order.

    Raises:
        ConfigError: an invalid range, or a batch size up to the largest that no profile or two
            profiles contain.
    """
    ordered = sorted(profiles)
    for profile in ordered:
        if not 1 <= profile.min <= profile.opt <= profile.max:
            raise ConfigError(f"profile {profile}: expected 1 <= MIN <= OPT <= MAX.")
    start = 1
    for profile in ordered:
        if profile.min > start:
            raise ConfigError(
                f"batches of {start} to {profile.min - 1} are in no optimization profile; expected "
                f"profiles without gaps from 1 on. Begin profile {profile} at {start}."
            )
        if profile.min < start:
            raise ConfigError(
                f"a batch of {profile.min} is in two optimization profiles. Begin profile {profile}"
                f" at {start}."
            )
        start = profile.max + 1
    return tuple(ordered)

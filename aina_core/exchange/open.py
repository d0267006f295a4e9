"""Tell which kind of source a path is."""

from __future__ import annotations

from pathlib import Path

from aina_core.errors import InputError
from aina_core.exchange.foreign import Npy, Parquet
from aina_core.exchange.layout import MANIFEST, parts
from aina_core.exchange.own import Folder
from aina_core.exchange.source import Source


def open_source(
    path: Path,
    *,
    model: str | None = None,
    ids: Path | None = None,
    column: str | None = None,
    id_column: str | None = None,
) -> Source:
    """Open embeddings that can be imported.

    Args:
        path: a folder that `spark-index` or `export` has finished; an npy file; a Parquet file, or
            a folder of them.
        model: that made them; where a folder's manifest says it, the same or None.
        ids: of an npy file: a text file with an id a line.
        column: of Parquet: the vectors'.
        id_column: of Parquet: the ids'.

    Raises:
        InputError: there is no such file, it cannot be read, or an option does not go with it.
        DamagedError: a folder does not hold what its manifest says.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"{path} is missing; give a folder of embeddings, an npy or Parquet file.")
    if path.is_dir() and ((path / MANIFEST).exists() or not parts(path)):
        _refuse_options({"--ids": ids, "--column": column, "--id-column": id_column}, "a folder")
        folder = Folder(path)
        if model is not None and model != folder.model:
            raise InputError(
                f"{path} was made by {folder.model}, not by {model}; leave --model out."
            )
        return folder
    if model is None:
        raise InputError(
            f"Nobody can see which model made the vectors of {path.name}; name it by --model: one "
            "that AINA has, or external:NAME."
        )
    if path.is_file() and path.suffix.lower() == ".npy":
        _refuse_options({"--column": column, "--id-column": id_column}, "an npy file")
        return Npy(path, model, ids)
    if path.is_dir() or path.suffix.lower() in (".parquet", ".pq"):
        _refuse_options({"--ids": ids}, "Parquet")
        return Parquet(path, model, column, id_column)
    raise InputError(
        f"{path.name} is of no kind that can be imported; give a folder that `spark-index` or "
        "`export` has finished, a .npy file or a .parquet file."
    )


def _refuse_options(options: dict[str, object], kind: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"{given[0]} does not go with {kind}; leave it out.")

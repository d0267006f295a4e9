"""A folder of embeddings: Parquet files, and a manifest that says whose they are.

::

    OUT/
      part-*.parquet  a row for each image or file that failed (`SCHEMA`), in no order
      _aina.json      model, fingerprint, counts; written last, so a folder without it is unfinished

Readers of Parquet pass over names that begin with an underscore.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError

MANIFEST = "_aina.json"
FORMAT = 1
#: An id has so many signs at most; it has one at least, and no zero byte.
MOST_LETTERS = 4096
#: Columns: the embedding is float32 (dim,), of unit length, and null where the file failed; `norm`
#: is its length before; `failure` says why, and is null where there is an embedding; `sha256`,
#: `size` and `mtime_ns` are of the file that it was computed from.
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("norm", pa.float32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("label", pa.string()),
        ("failure", pa.string()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]
)

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "model": str,
    "dim": int,
    "fingerprint": dict,
    "computed_on": list,
    "versions": dict,
    "source": str,
    "root": (str, type(None)),
    "rows": int,
    "failed": int,
}


def check_manifest(manifest: Mapping[str, Any], where: str) -> None:
    """Refuse a manifest that lacks something readers rely on.

    Its entries: "format"; "model", the full name; "dim"; "fingerprint" and "versions" as
    `Embedder` gives them; "computed_on", as ["cpu/openvino"]; "source", what was read; "root", the
    local folder of the images or None; "rows", all of them, and "failed" of these.

    Raises:
        DamagedError: something is missing, or of another kind.
    """
    if manifest.get("format") != FORMAT or not all(
        isinstance(manifest.get(name), kind) for name, kind in _KINDS.items()
    ):
        raise DamagedError(f"{MANIFEST} in {where} is damaged, or has an unknown format.")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a local folder.

    Raises:
        InputError: the folder has none: it is unfinished, or something else.
        DamagedError: it cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{folder} holds no finished embeddings: it has no {MANIFEST}; give a folder that "
            "`spark-index` or `export` has written to the end."
        )
    manifest = paths.read_json(path)
    check_manifest(manifest, str(folder))
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a local folder; its rows are there from now on."""
    check_manifest(manifest, str(folder))
    paths.write_json(folder / MANIFEST, dict(manifest))


def parts(folder: Path) -> list[Path]:
    """Return the Parquet files of a local folder, those of sub-folders too, by their names."""
    found = (path.relative_to(folder) for path in folder.rglob("*.parquet") if path.is_file())
    visible = (p for p in found if not any(part.startswith(("_", ".")) for part in p.parts))
    return [folder / path for path in sorted(visible)]

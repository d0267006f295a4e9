"""How embeddings leave AINA and come in: partitioned Parquet, as other tools read and write it, and
vectors computed elsewhere."""

from aina_core.exchange.exporting import ExportReport, export
from aina_core.exchange.foreign import Npy, Parquet
from aina_core.exchange.importing import ImportReport, import_vectors
from aina_core.exchange.layout import (
    FORMAT,
    MANIFEST,
    MOST_LETTERS,
    SCHEMA,
    check_manifest,
    parts,
    read_manifest,
    write_manifest,
)
from aina_core.exchange.open import open_source
from aina_core.exchange.own import Folder
from aina_core.exchange.source import Source

__all__ = [
    "FORMAT",
    "MANIFEST",
    "MOST_LETTERS",
    "SCHEMA",
    "ExportReport",
    "Folder",
    "ImportReport",
    "Npy",
    "Parquet",
    "Source",
    "check_manifest",
    "export",
    "import_vectors",
    "open_source",
    "parts",
    "read_manifest",
    "write_manifest",
]

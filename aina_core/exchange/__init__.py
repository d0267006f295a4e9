"""How embeddings leave AINA and come in: partitioned Parquet, as other tools read and write it."""

from aina_core.exchange.layout import (
    FORMAT,
    MANIFEST,
    SCHEMA,
    check_manifest,
    parts,
    read_manifest,
    write_manifest,
)

__all__ = [
    "FORMAT",
    "MANIFEST",
    "SCHEMA",
    "check_manifest",
    "parts",
    "read_manifest",
    "write_manifest",
]

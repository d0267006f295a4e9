"""Galleries: named sets of images, each of one folder, with the vectors of any number of models.

::

    AINA_HOME/NAME/
      gallery.json      its folder, when it was made
      catalogue.sqlite  what is known of every image (`catalogue.py`)
      images/           the files themselves, only where they were uploaded or made here
      models/M/         vectors and index of the model M (`vectors/store.py`)
      duplicates.json   which of its duplicates the user keeps, once any have been chosen
      lock              held by the one writer
"""

from __future__ import annotations

from aina_core.gallery.catalogue import Annotation, ImageRecord
from aina_core.gallery.columns import Annotations, Records, open_known
from aina_core.gallery.handle import Gallery, valid_name
from aina_core.gallery.home import create, galleries, given_root, make_aside, open_gallery
from aina_core.gallery.labels import LabelsFile, folder_label
from aina_core.gallery.reduction import Reduction, made_of, open_reduction, reduce, reduction_of
from aina_core.gallery.update import UpdateReport, update
from aina_core.gallery.vectors.store import Vectors

__all__ = [
    "Annotation",
    "Annotations",
    "Gallery",
    "ImageRecord",
    "LabelsFile",
    "Records",
    "Reduction",
    "UpdateReport",
    "Vectors",
    "create",
    "folder_label",
    "galleries",
    "given_root",
    "made_of",
    "make_aside",
    "open_gallery",
    "open_known",
    "open_reduction",
    "reduce",
    "reduction_of",
    "update",
    "valid_name",
]

"""Pictures to start with: real photographs out of installed wheels, and Debian's stamps.

Both functions fill a folder with pictures and with a `labels.csv`, and return the path of that
file; building a gallery from the folder is up to the caller. A file is put in place whole or
not at all, so a file that is there is complete: a run that was stopped is finished by the next
one, and a run over a finished folder writes nothing.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from aina_core.changes.modifications import MODIFICATIONS, apply
from aina_core.changes.originals import ORIGINAL
from aina_core.csv_files import csv_text
from aina_core.disk.paths import replacing
from aina_core.errors import AinaError, ImageError
from aina_core.images import read_image
from aina_core.progress import Progress

#: The longest side, in pixels, of a photograph that is written.
LONGEST_SIDE = 1024
#: The Debian package of the stamps that come with Tux Paint (GPL-2), and where its pictures lie.
STAMPS_PACKAGE = "tuxpaint-stamps-default"
STAMPS_FOLDER = Path("usr/share/tuxpaint/stamps")

_UPDATE_SECONDS = 300
_DOWNLOAD_SECONDS = 3600  # 161 MB
_UNPACK_SECONDS = 300


@dataclass(frozen=True)
class Photograph:
    """A photograph that an installed package carries.

    Attributes:
        name: its label and the name of its folder.
        package: the package as it is imported.
        file: path inside the package, with `/`.
        caption: what it shows.
        credit: who made it.
        licence: its terms, as stated by its package or source.
    """

    name: str
    package: str
    file: str
    caption: str
    credit: str
    licence: str

    def path(self) -> Path:
        """Return where its file is, without importing the package.

        Raises:
            ImageError: the package is not installed, or does not carry the file.
        """
        spec = importlib.util.find_spec(self.package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder, self.file)
            if path.is_file():
                return path
        raise ImageError(
            f"The photograph {self.name!r} is missing: the package {self.package} should hold "
            f"{self.file}; install AINA's requirements again."
        )


def _skimage(file: str, caption: str, credit: str, licence: str) -> Photograph:
    return Photograph(Path(file).stem, "skimage", f"data/{file}", caption, credit, licence)


_CC0 = "CC0 1.0"
_PUBLIC = "public domain"
_FREE = "no known copyright restrictions"
_MIDDLEBURY = "Scharstein et al., Middlebury stereo benchmark, GCPR 2014"
_CITE = "use and publication permitted, citation asked"

#: What `write_photographs` writes. Credits and licences are those of skimage/data/_fetchers.py; of
#: sklearn/datasets/images/README.txt, which names one author for both photographs but links
#: flower.jpg to vultilion's page; of Middlebury's data page; and of matplotlib's pull request 1599.
#: Pictures without a stated origin (moon.png) are left out.
PHOTOGRAPHS = [
    _skimage("astronaut.png", "the astronaut Eileen Collins", "NASA", _PUBLIC),
    _skimage("brick.png", "a brick wall", "CC0Textures, Bricks25", _CC0),
    _skimage("camera.png", "a man behind a camera on a tripod", "Lav Varshney", _CC0),
    _skimage("chelsea.png", "the face of a tabby cat", "Stefan van der Walt", _CC0),
    _skimage("coffee.png", "a cup of coffee on a saucer", "Rachel Michetti", _CC0),
    _skimage("coins.png", "Greek coins from Pompeii", "Brooklyn Museum", _FREE),
    _skimage("grass.png", "grass", "linolafett, DeviantArt", _CC0),
    _skimage("gravel.png", "gravel", "CC0Textures, Gravel04", _CC0),
    _skimage("hubble_deep_field.jpg", "galaxies in deep space", "NASA, HubbleSite", _PUBLIC),
    _skimage("ihc.png", "stained tissue of the colon under a microscope", "CMMI", _FREE),
    _skimage("motorcycle_left.png", "a red motorcycle in a garage", _MIDDLEBURY, _CITE),
    _skimage("motorcycle_right.png", "a red motorcycle in a garage", _MIDDLEBURY, _CITE),
    _skimage("retina.jpg", "the retina of a human eye", "Mikael Häggström", _CC0),
    _skimage("rocket.jpg", "a rocket on its launch pad at night", "SpaceX", _PUBLIC),
    Photograph(
        "china",
        "sklearn",
        "datasets/images/china.jpg",
        "a Chinese pagoda by a lake",
        "danielbuechele, Flickr",
        "CC BY 2.0",
    ),
    Photograph(
        "flower",
        "sklearn",
        "datasets/images/flower.jpg",
        "an orange dahlia",
        "vultilion, Flickr",
        "CC BY 2.0",
    ),
    Photograph(
        "grace_hopper",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "Grace Hopper in the uniform of the US Navy",
        "US Navy",
        _PUBLIC,
    ),
]


def write_photographs(folder: Path, progress: Progress | None = None) -> Path:
    """Write every photograph and its 18 modifications as `<photograph>/<modification>.jpg`.

    The files are JPEG of quality 92 without chroma subsampling; their bytes depend only on the
    installed packages. Modifications are made from the photograph's pixels, not from its JPEG.

    Args:
        folder: created if need be.
        progress: told "photographs", with files done and files in all.

    Returns:
        The path of labels.csv, with the columns id (path relative to `folder`, with `/`), label
        (the photograph's name), modification (as registered, or "original"), group (of the
        modification) and caption.

    Raises:
        ImageError: a photograph is missing or damaged.
    """
    tell = progress or _silent
    names = [ORIGINAL, *MODIFICATIONS]
    total = len(PHOTOGRAPHS) * len(names)
    rows: list[tuple[str, ...]] = []
    for photograph in PHOTOGRAPHS:
        image: Image.Image | None = None
        for name in names:
            identity = f"{photograph.name}/{_file_name(name)}"
            path = folder / identity
            if not path.exists():
                image = image or _capped(read_image(photograph.path()))
                _write_jpeg(path, image if name == ORIGINAL else apply(name, image))
            group = name.split("/")[0]
            rows.append((identity, photograph.name, name, group, photograph.caption))
            tell("photographs", len(rows), total)
    return _write_labels(folder, ("id", "label", "modification", "group", "caption"), rows)


def fetch_stamps(folder: Path, progress: Progress | None = None) -> Path:
    """Fetch the stamps of Tux Paint from the Debian archive, without installing anything.

    The bitmaps of the package are copied with their sub-folders; apt verifies the archive's
    signature. If labels.csv and all its pictures exist, nothing is downloaded.

    Args:
        folder: created if need be.
        progress: told the step ("update", "download", "unpack": 0 then 1 of 1) and then "stamps",
            with files done and files in all.

    Returns:
        The path of labels.csv, with the columns id (path relative to `folder`, with `/`), label
        (its folder, with `/`) and caption (English, empty where the package has none).

    Raises:
        AinaError: there is no apt here, or the download or the unpacking failed.
    """
    tell = progress or _silent
    if _is_complete(folder):
        return folder / "labels.csv"
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise AinaError(
            f"The stamps are the Debian package {STAMPS_PACKAGE} and this machine has no apt-get "
            "and dpkg-deb; fetch them on Debian or Ubuntu, or build a gallery from a folder of "
            "your own."
        )
    with tempfile.TemporaryDirectory(prefix="aina-stamps-") as name:
        source = _unpacked_stamps(Path(name), tell)
        pictures = sorted(
            path for path in source.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg")
        )
        if not pictures:
            raise AinaError(
                f"The package {STAMPS_PACKAGE} of this system holds no pictures under "
                f"/{STAMPS_FOLDER}; its layout is not one that AINA knows."
            )
        rows: list[tuple[str, ...]] = []
        for picture in pictures:
            relative = picture.relative_to(source)
            if not (folder / relative).exists():
                with replacing(folder / relative) as file:
                    file.write(picture.read_bytes())
            rows.append((relative.as_posix(), relative.parent.as_posix(), _caption(picture)))
            tell("stamps", len(rows), len(pictures))
    return _write_labels(folder, ("id", "label", "caption"), rows)


def _silent(phase: str, done: int, total: int) -> None:
    pass


def _file_name(modification: str) -> str:
    """`cropped/left_half` → `cropped-left_half.jpg`, `bordered/#000` → `bordered-000.jpg`."""
    return re.sub(r"\W+", "-", modification) + ".jpg"


def _capped(image: Image.Image) -> Image.Image:
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return image


def _write_jpeg(path: Path, image: Image.Image) -> None:
    with replacing(path) as file:
        image.save(file, "JPEG", quality=92, subsampling="4:4:4")


def _write_labels(folder: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Path:
    """Write labels.csv unless it is up to date; it is written last, so it marks completion."""
    data = csv_text(header, rows, guarded=False, line_end="\n").encode()
    path = folder / "labels.csv"
    if not (path.is_file() and path.read_bytes() == data):
        with replacing(path) as file:
            file.write(data)
    return path


def _is_complete(folder: Path) -> bool:
    """Whether labels.csv exists together with every picture that it names."""
    try:
        with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            return all((folder / row.get("id", "")).is_file() for row in csv.DictReader(file))
    except FileNotFoundError:
        return False


def _unpacked_stamps(work: Path, tell: Progress) -> Path:
    """Download the package into `work` and unpack it there; return the folder of its stamps."""
    if os.geteuid() == 0:
        # One broken source fails the update; the download shows whether the lists suffice.
        with _step("update", tell), contextlib.suppress(AinaError):
            _run("apt-get", "update", cwd=work, seconds=_UPDATE_SECONDS)
    with _step("download", tell):
        _run("apt-get", "download", STAMPS_PACKAGE, cwd=work, seconds=_DOWNLOAD_SECONDS)
    with _step("unpack", tell):
        (package,) = work.glob("*.deb")
        _run("dpkg-deb", "-x", str(package), "package", cwd=work, seconds=_UNPACK_SECONDS)
    return work / "package" / STAMPS_FOLDER


@contextlib.contextmanager
def _step(phase: str, tell: Progress) -> Iterator[None]:
    tell(phase, 0, 1)
    yield
    tell(phase, 1, 1)


def _run(*command: str, cwd: Path, seconds: int) -> None:
    """Run a command; its messages are English whatever the locale.

    Raises:
        AinaError: it failed or took longer than `seconds`; with the last line of its output.
    """
    try:
        subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=True,
        )
        return
    except subprocess.TimeoutExpired:
        reason = f"it took over {seconds} seconds"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {error.returncode}"
    except OSError as error:
        reason = str(error)
    raise AinaError(
        f"The stamps could not be fetched: {' '.join(command[:2])} failed ({reason}); check the "
        "network and apt's sources (as root: apt-get update), then try again."
    )


def _caption(picture: Path) -> str:
    """The first line of the text beside a picture; `x_mirror.png` shares the text of `x.png`."""
    text = picture.with_name(picture.stem.removesuffix("_mirror") + ".txt")
    if not text.is_file():
        return ""
    lines = text.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return lines[0].strip() if lines else ""

"""Pictures to search by, and galleries of uploaded files: nothing that is sent is believed."""

import io
import os
import re
import stat
import struct
import warnings
import zipfile
import zlib

import pytest
from PIL import Image

from aina_core import images
from aina_core.errors import ImageError, InputError
from aina_core.gallery import create, galleries, open_gallery, uploads
from aina_core.gallery.uploads import gallery_from_files, gallery_from_zip, keep_query, query


def picture(shade=0, kind="PNG", side=16):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade % 256, 90, 200)).save(buffer, kind)
    return buffer.getvalue()


def everything(folder):
    """All files below a folder, with their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(gallery):
    return everything(gallery.root)


# ── queries ──────────────────────────────────────────────────────────────────────────────────────


def test_a_query_is_kept_under_a_name_that_only_its_owner_can_know(home):
    data = picture()
    name = keep_query(data)
    assert re.fullmatch("[0-9a-f]{64}", name)
    assert query(name) == data
    assert keep_query(data) == name
    assert len(everything(home)) == 1


@pytest.mark.parametrize(
    "name",
    ["", "a", "../" + "0" * 61, "/etc/passwd", "A" * 64, "0" * 65, "0" * 64 + "\n", "é" * 64],
)
def test_a_name_that_is_none_reads_nothing(home, name):
    with pytest.raises(InputError, match="names no uploaded picture"):
        query(name)


def test_a_query_that_is_not_kept_any_more(home):
    with pytest.raises(InputError, match="upload it again"):
        query("0" * 64)


def test_the_oldest_queries_go_first_and_a_repeated_one_is_new_again(home, monkeypatch):
    monkeypatch.setattr(uploads, "_KEPT_QUERIES", 3)
    pictures = [picture(shade) for shade in range(5)]
    names = []
    for number, data in enumerate(pictures[:3]):
        names.append(keep_query(data))
        os.utime(home / ".queries" / names[-1], (number, number))
    keep_query(pictures[0])
    names += [keep_query(data) for data in pictures[3:]]
    kept = set(everything(home / ".queries"))
    assert kept == {names[0], names[3], names[4]}
    with pytest.raises(InputError):
        query(names[1])


def bomb():
    """A PNG of a few hundred bytes that says it has 900 million pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def test_a_query_that_cannot_be_stored_is_one_sentence(home):
    home.mkdir(parents=True, exist_ok=True)
    (home / ".queries").write_text("in the way of the folder")
    with pytest.raises(ImageError, match=r"^the server cannot store it \(.+\)$"):
        keep_query(picture())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"only a text", "not a picture"),
        (picture(kind="JPEG", side=200)[:-300], "truncated|damaged"),
        (bomb(), "million"),
    ],
    ids=["empty", "text", "truncated", "bomb"],
)
def test_a_bad_query_is_refused_and_not_kept(home, data, reason):
    with pytest.raises(ImageError, match=reason):
        keep_query(data)
    assert not home.exists() or not everything(home)


def test_a_query_of_too_many_bytes_is_not_even_decoded(home, monkeypatch):
    monkeypatch.setattr(images, "decode", lambda data: pytest.fail("decoded"))
    monkeypatch.setattr(uploads, "MAX_QUERY_BYTES", 1 << 20)
    with pytest.raises(ImageError, match="over 1 MB"):
        keep_query(bytes((1 << 20) + 1))


# ── ZIPs ─────────────────────────────────────────────────────────────────────────────────────────


def archive(*entries, method=zipfile.ZIP_STORED):
    """A ZIP of (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in entries:
            file.writestr(name, data)
    buffer.seek(0)
    return buffer


def refused(home, data, sentence, name="g"):
    """Assert that an archive is refused by one sentence and that nothing of it is written."""
    before = everything(home) if home.exists() else {}
    with pytest.raises(InputError, match=sentence) as caught:
        gallery_from_zip(name, data)
    assert (everything(home) if home.exists() else {}) == before
    assert not list(home.glob(".aina-*"))
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    assert str(home) not in message, "it tells where the server keeps things"


def test_a_zip_becomes_a_gallery_and_its_folders_stay(home):
    made = gallery_from_zip(
        "mine",
        archive(
            ("cats/1.png", picture(1)),
            ("cats/deep/2.PNG", picture(2)),
            ("dogs\\3.png", picture(3)),
            ("./top.jpg", picture(4, "JPEG")),
            ("notes.txt", b"no picture"),
            ("empty/", b""),
        ),
    )
    assert made.keeps_images and galleries() == ["mine"]
    assert stored(made) == {
        "cats/1.png": picture(1),
        "cats/deep/2.PNG": picture(2),
        "dogs/3.png": picture(3),
        "top.jpg": picture(4, "JPEG"),
    }
    assert not list(home.glob(".aina-*"))


def test_hidden_files_and_those_of_macos_are_passed_over(home):
    made = gallery_from_zip(
        "mine",
        archive(
            ("a.png", picture()),
            ("__MACOSX/a.png", b"resource"),
            ("x/__MACOSX/._a.png", b"resource"),
            ("x/.hidden/a.png", picture()),
            (".a.png", picture()),
        ),
    )
    assert set(stored(made)) == {"a.png"}


def test_a_second_zip_adds_to_the_gallery_and_replaces_what_it_holds_anew(home):
    gallery_from_zip("mine", archive(("a.png", picture(1)), ("b/c.png", picture(2))))
    made = gallery_from_zip("mine", archive(("b/d.png", picture(3)), ("a.png", picture(4))))
    assert stored(made) == {"a.png": picture(4), "b/c.png": picture(2), "b/d.png": picture(3)}


@pytest.mark.parametrize("name", ["a.png/b.png", "b"])
def test_a_second_zip_that_does_not_fit_the_first_changes_nothing(home, name):
    gallery_from_zip("mine", archive(("a.png", picture(1)), ("b.png/c.png", picture(2))))
    data = archive(("0.png", picture(5)), (f"{name}.png", picture(3)))
    refused(home, data, "needs a folder", name="mine")


@pytest.mark.parametrize(
    "name",
    ["../x.jpg", "a/../../x.jpg", "..\\x.jpg", "/etc/x.jpg", "\\x.jpg", "C:\\x.jpg", "c:x.jpg"],
)
def test_a_path_that_leads_elsewhere_refuses_the_whole_zip(home, name):
    refused(home, archive(("good.png", picture()), (name, picture())), "unsafe path")


def test_an_unsafe_path_counts_whatever_the_file_is(home):
    refused(home, archive(("good.png", picture()), ("../.bashrc", b"")), "unsafe path")


def test_a_link_is_refused(home):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(home, archive(("good.png", picture()), (link, b"/etc/passwd")), "holds a link")


def test_an_encrypted_zip_is_refused(home):
    data = bytearray(archive(("good.png", picture())).getvalue())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1
    refused(home, io.BytesIO(data), "encrypted")


def test_a_zip_of_zeros_is_refused_by_its_ratio(home):
    data = archive(("zeros.png", bytes(30 << 20)), method=zipfile.ZIP_DEFLATED)
    refused(home, data, "times its size")


def with_sizes(data, *, size=None, packed=None):
    """A ZIP whose central directory names other sizes."""
    data = bytearray(data.getvalue())
    at = data.index(b"PK\1\2")
    if packed is not None:
        data[at + 20 : at + 24] = struct.pack("<I", packed)
    if size is not None:
        data[at + 24 : at + 28] = struct.pack("<I", size)
    return io.BytesIO(data)


def test_a_ratio_is_held_against_the_bytes_that_came(home):
    data = archive(("zeros.png", bytes(30 << 20)), method=zipfile.ZIP_DEFLATED)
    refused(home, with_sizes(data, packed=20 << 20), "times its size")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_that_holds_more_than_it_says_is_refused(home, method):
    data = archive(("a.png", picture(side=64)), method=method)
    refused(home, with_sizes(data, size=10), "cannot be read|says less")


def test_too_many_files_or_bytes_are_refused(home, monkeypatch):
    three = [(f"{number}.png", picture(number)) for number in range(3)]
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    refused(home, archive(*three), "at most 2 are accepted")
    monkeypatch.setattr(uploads, "MAX_FILES", 10)
    monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    refused(home, archive(*three), "give their folder")


def test_two_files_of_one_name_are_refused(home):
    refused(home, archive(("a.png", picture(1)), ("a.png", picture(2))), "two files of the name")
    refused(home, archive(("a/b.png", picture(1)), ("a\\b.png", picture(2))), "two files")


def test_a_file_and_a_folder_of_one_name_are_refused(home):
    for names in (["a.png", "a.png/b.png"], ["a.png/b/c.png", "a.png"]):
        data = archive(*((name, picture()) for name in names))
        refused(home, data, "a file and a folder of the same name: 'a.png'")
    assert stored(gallery_from_zip("g", archive(("a.png/", b""), ("a.png", picture()))))


def test_a_name_that_no_disk_takes_is_refused(home):
    refused(home, archive(("ä" * 150 + ".png", picture())), "too long a name")
    deep = "/".join(["d" * 200] * 30)
    refused(home, archive((f"{deep}/a.png", picture())), "cannot be read: File name too long")


def test_what_is_no_whole_zip_is_refused(home):
    whole = archive(("a.png", picture(side=90)), ("b.png", picture())).getvalue()
    damaged = bytearray(whole)
    damaged[60:70] = bytes(10)
    for data in (b"", b"no zip at all", whole[: len(whole) // 2], whole[:-30], bytes(damaged)):
        refused(home, io.BytesIO(data), "The ZIP cannot be read")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compressed_data_is_refused(home, method):
    data = bytearray(archive(("a.png", os.urandom(5000)), method=method).getvalue())
    data[45:300] = b"\xff" * 255
    refused(home, io.BytesIO(data), "The ZIP cannot be read")


def test_a_name_that_is_not_utf8_though_it_says_so_is_refused(home):
    data = archive(("ä.png", picture())).getvalue().replace("ä".encode(), b"\xff\xff")
    refused(home, io.BytesIO(data), "The ZIP cannot be read")


def test_an_unknown_compression_is_refused(home):
    data = bytearray(archive(("a.png", picture())).getvalue())
    for signature, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(signature) + at] = 99
    refused(home, io.BytesIO(data), "The ZIP cannot be read")


@pytest.mark.parametrize("entries", [[], [("a.txt", b"text")], [("a/", b"")], [(".a.png", b"")]])
def test_a_zip_without_pictures_is_refused(home, entries):
    refused(home, archive(*entries), "no pictures that AINA reads")


# ── names of galleries, and files ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".queries", "a\nb", "x" * 70])
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_written(home, name):
    refused(home, archive(("a.png", picture())), "cannot name a gallery", name=name)
    with pytest.raises(InputError, match="cannot name a gallery"):
        gallery_from_files(name, [("a.png", picture())])
    assert not home.exists()


def test_a_gallery_of_a_folder_takes_no_uploads(home, photos):
    create("mine", photos)
    before = everything(photos)
    refused(home, archive(("a.png", picture())), "belongs to a folder on the server", name="mine")
    with pytest.raises(InputError, match="belongs to a folder on the server"):
        gallery_from_files("mine", [("a.png", picture())])
    assert everything(photos) == before


def test_uploaded_files_never_leave_their_folder(home):
    names = ["../up.png", "/etc/abs.png", "C:\\x\\win.png", ".hidden.png", "..", "", "a\0\n<b>.png"]
    made = gallery_from_files("mine", [(name, picture(n)) for n, name in enumerate(names)])
    assert stored(made) == {
        "up.png": picture(0),
        "abs.png": picture(1),
        "win.png": picture(2),
        "image 4.hidden.png": picture(3),
        "image 5..": picture(4),
        "image 6": picture(5),
        "a___b_.png": picture(6),
    }
    assert set(everything(home)) - {f"mine/images/{name}" for name in stored(made)} <= {
        "mine/gallery.json",
        "mine/lock",
        "mine/catalogue.sqlite",
        "mine/catalogue.sqlite-wal",
        "mine/catalogue.sqlite-shm",
    }


def test_two_files_of_one_name_are_both_kept(home):
    files = ["a (3).png", "a.png", "a.png", "x/a.png", ".png", ".png"]
    made = gallery_from_files("mine", [(name, picture(n)) for n, name in enumerate(files)])
    assert sorted(stored(made).values()) == sorted(picture(n) for n in range(len(files)))


def test_a_long_name_keeps_its_end(home):
    made = gallery_from_files("mine", [("\U00020000" * 300 + ".png", picture())])
    (name,) = stored(made)
    assert name.endswith("\U00020000.png")


def test_too_many_uploaded_files_or_bytes_leave_nothing(home, monkeypatch):
    files = [(f"{number}.png", picture(number)) for number in range(3)]
    for limit, value in (("MAX_FILES", 2), ("MAX_BYTES", 100)):
        with monkeypatch.context() as patch:
            patch.setattr(uploads, limit, value)
            with pytest.raises(InputError, match="accepted at once"):
                gallery_from_files("mine", files)
        assert not everything(home)
    assert len(stored(gallery_from_files("mine", files))) == 3
    assert open_gallery("mine").keeps_images


def test_what_a_killed_upload_of_a_query_has_left_is_removed(home):
    first = keep_query(picture())
    folder = next(home.rglob(first)).parent
    old, recent = folder / f".{first}.abc.tmp", folder / f".{first}.def.tmp"
    for left in (old, recent):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    keep_query(picture(1))
    assert not old.exists() and recent.exists(), "another session may be writing it"

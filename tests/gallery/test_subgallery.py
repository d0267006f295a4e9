"""A gallery made of some images of another."""

import pytest

from aina_core.errors import InputError
from aina_core.gallery import Annotation, create, galleries, uploads
from aina_core.gallery.uploads import gallery_of_images
from tests.support.galleries import bring_up, files_of

SAID = {
    "brick/1.jpg": Annotation("wall", "a brick wall", {"year": "1999"}),
    "camera/0.png": Annotation("person"),
}
CHOSEN = ["camera/0.png", "brick/1.jpg", "astronaut/2.jpg"]


@pytest.fixture
def source(home, photos, embedder):
    gallery = create("all", photos)
    bring_up(gallery, embedder, labels=SAID)
    return gallery


def test_it_has_the_files_and_what_was_said_of_them(source, embedder):
    made = gallery_of_images("some", source, CHOSEN)
    assert made.keeps_images and galleries() == ["all", "some"]
    assert files_of(made.root) == {key: source.read(key) for key in CHOSEN}
    assert made.catalogue.annotations() == SAID
    bring_up(made, embedder)
    assert made.vectors(embedder.model).ids == sorted(CHOSEN)
    assert made.catalogue.annotations() == SAID


def test_it_stands_alone(source, embedder):
    made = gallery_of_images("some", source, CHOSEN)
    source.path(source.catalogue.image(CHOSEN[0])).write_bytes(b"something else")
    source.delete()
    assert bring_up(made, embedder) == (3, 0, 0, 0)


def test_more_images_are_added(source):
    gallery_of_images("some", source, CHOSEN[:1])
    made = gallery_of_images("some", source, CHOSEN[1:])
    assert set(files_of(made.root)) == set(CHOSEN)
    assert made.catalogue.annotations() == SAID


def test_an_image_that_is_gone_or_was_never_there_is_passed_over(source):
    source.path(source.catalogue.image(CHOSEN[0])).unlink()
    made = gallery_of_images("some", source, [*CHOSEN, "none.jpg", "../../etc/passwd"])
    assert set(files_of(made.root)) == set(CHOSEN[1:])


@pytest.mark.parametrize("ids", [[], ["none.jpg"]])
def test_no_gallery_of_nothing(source, ids):
    with pytest.raises(InputError, match="None of these images"):
        gallery_of_images("some", source, ids)
    assert galleries() == ["all"]


def test_a_gallery_of_a_folder_is_never_written_to(source, photos):
    before = files_of(photos)
    with pytest.raises(InputError, match="belongs to a folder"):
        gallery_of_images("all", source, CHOSEN)
    assert files_of(photos) == before


def test_too_much_leaves_nothing(source, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    with pytest.raises(InputError, match="at most 2"):
        gallery_of_images("some", source, CHOSEN)
    assert galleries() == ["all"] and not list(source.folder.parent.glob(".aina-*"))

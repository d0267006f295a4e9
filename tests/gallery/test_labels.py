"""Labels files."""

from pathlib import Path

import pytest

from aina_core.errors import InputError
from aina_core.gallery import Annotation, LabelsFile, update
from aina_core.search.searcher import Searcher


def labels(tmp_path: Path, content: str | bytes) -> dict[str, Annotation]:
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(LabelsFile(path).items())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels(delimiter, mark, end, tmp_path):
    lines = ["label|id|caption|year", "cat|a/b.jpg|a grey cat|1999", "dög|c.png||"]
    text = mark + end.join(lines).replace("|", delimiter) + end
    assert labels(tmp_path, text) == {
        "a/b.jpg": Annotation("cat", "a grey cat", {"year": "1999"}),
        "c.png": Annotation("dög", "", {"year": ""}),
    }


def test_labels_with_quotes_newlines_and_gaps(tmp_path):
    text = (
        'id,label,note\n"a,b.jpg","two\nlines","say ""hi"""\n\nshort.jpg\n,x,y\nlong.jpg,l,n,more\n'
    )
    assert labels(tmp_path, text) == {
        "a,b.jpg": Annotation("two\nlines", "", {"note": 'say "hi"'}),
        "short.jpg": Annotation("", "", {"note": ""}),
        "long.jpg": Annotation("l", "", {"note": "n"}),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it names: none"),
        ("id,name\na,b\n", "it names: id, name"),
        ("label\nb\n", "must begin with a line"),
        ("id,label," + ",".join(f"c{n}" for n in range(99)), "at most 64"),
        (b"id,label\na,\xff\n", "is not UTF-8"),
        ("id,label\na," + "x" * 200_000 + "\n", "is damaged: field larger"),
        ("id,label," + "x" * 200_000 + "\n", "is damaged: field larger"),
    ],
)
def test_labels_that_cannot_be_read(content, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        labels(tmp_path, content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_labels_file_that_is_missing_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone\.csv cannot be read \(the file is missing\)"):
        LabelsFile(tmp_path / "gone.csv")
    monkeypatch.setattr("aina_core.gallery.labels._MAX_BYTES", 10)
    with pytest.raises(InputError, match="over 0 MB"):
        labels(tmp_path, "id,label\na,b\n")


def test_labels_are_kept_until_others_are_given(gallery, embedder, photos):
    assert Searcher(gallery, "tiny").labels == {"astronaut": 4, "brick": 4, "camera": 4}
    given = {"brick/1.jpg": Annotation("wall", "red", {"year": "1"}), "gone.jpg": Annotation("x")}
    update(gallery, embedder, labels=given)
    update(gallery, embedder)
    searcher = Searcher(gallery, "tiny")
    assert searcher.labels == {"astronaut": 4, "brick": 3, "camera": 4, "wall": 1}
    assert searcher.columns == {"year": {"": 11, "1": 1}}
    query = searcher.vector("brick/1.jpg")
    assert [hit.id for hit in searcher.search(query, labels=["wall"]).nearest(9)] == ["brick/1.jpg"]
    found = searcher.search(query, columns={"year": ["1"]}, exclude="brick/1.jpg")
    assert found.count == 0 and found.nearest(9) == [] and found.above(-1) == []
    update(gallery, embedder, labels={})
    assert Searcher(gallery, "tiny").labels == {"astronaut": 4, "brick": 4, "camera": 4}

import io
from base64 import b64decode

import numpy as np
from PIL import Image

from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.pages import Pictures


def test_a_thumbnail_is_preferred_and_a_frame_read_where_there_is_none(tmp_path):
    made = Collection.create(tmp_path / "c")
    (made.root / "thumbs").mkdir()
    Image.new("RGB", (640, 480), "red").save(made.root / "thumbs" / "a.jpg")
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "b.png")
    with made.writing() as writer:
        writer.put_item(Item("a", "image", "/no/such/file.png"), [Shot(0, 0, (Frame(0.0),), thumb="thumbs/a.jpg")])
        writer.put_item(
            Item("b", "image", str(tmp_path / "b.png")), [Shot(0, 0, (Frame(0.0),), thumb="thumbs/gone.jpg")]
        )
        writer.put_item(Item("c", "image", ""), [Shot(0, 0, (Frame(0.0),))])
    pictures = Pictures(made)

    def middle(key):
        with Image.open(io.BytesIO(b64decode(pictures.uri(key).partition(",")[2]))) as image:
            return image.size, np.asarray(image)[20, 20].tolist()

    (size, colour), (_, other) = middle("a"), middle("b@0")
    assert size == (160, 120)
    assert colour[0] > 240 > 20 > colour[2]
    assert other[2] > 240 > 20 > other[0]
    assert [pictures.uri("c"), pictures.uri("z")] == ["", ""]
    assert list(pictures.failed) == ["c", "z"]
    assert "no frames in the collection" in pictures.failed["z"]

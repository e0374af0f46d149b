"""Still images: reading them from files and zip archives, and writing thumbnails."""

import io
import re
import warnings
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from matchcut.errors import MatchcutError
from matchcut.media.video import Pixels

# Pillow raises any of these on a file that is not what it says.
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

# Large panoramas are no attack; Pillow itself refuses what is beyond twice the size that it warns of.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_image(path: Path) -> Pixels:
    """The picture in a file, turned as its EXIF tag says, on white where it is transparent: uint8 [height, width, 3].

    Raises:
        MatchcutError: if the file is missing, empty, cut off, or no image.
    """
    try:
        return _decode(path.read_bytes())
    except _BROKEN as error:
        raise MatchcutError(f"{path}: cannot be read as an image: {_reason(error)}") from error


def open_zip(path: Path) -> ZipFile:
    """Open an archive of images.

    Raises:
        MatchcutError: if it is missing, cut off, or no zip archive.
    """
    try:
        return ZipFile(path)
    except (OSError, BadZipFile) as error:
        raise MatchcutError(f"{path}: cannot be opened as a zip archive: {_reason(error)}") from error


def read_zip_image(archive: ZipFile, member: str) -> Pixels:
    """The picture in an entry of an archive, like `read_image`.

    Raises:
        MatchcutError: names the archive and the entry, if there is no such entry or it is damaged or no image.
    """
    where = f"{archive.filename}, entry {member!r}"
    try:
        data = archive.read(member)
    except KeyError as error:
        raise MatchcutError(f"{where}: not in the archive") from error
    except (OSError, EOFError, BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
        raise MatchcutError(f"{where}: cannot be unpacked: {_reason(error)}") from error
    try:
        return _decode(data)
    except _BROKEN as error:
        raise MatchcutError(f"{where}: cannot be read as an image: {_reason(error)}") from error


def jpeg(picture: Pixels, *, longest: int = 320) -> bytes:
    """A JPEG of a picture [height, width, 3], scaled down to `longest` pixels on its longer side."""
    image = Image.fromarray(picture)
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _decode(data: bytes) -> Pixels:
    if not data:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits; Pillow would cut all above 255 off
            upright = Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        return np.asarray(upright.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        size = re.search(r"\d+", str(error))
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        has = f"it has {int(size[0]) / 1e6:,.0f} megapixels" if size else "it has too many pixels"
        return f"{has}; at most {most / 1e6:,.0f} are read, so make it smaller"
    return str(getattr(error, "strerror", None) or error)

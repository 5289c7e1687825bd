"""Figures of the report as small files."""

import io

from insert import DOCS
from PIL import Image

COLOURS = 256
"""As many as a palette holds: a third of the size, and the dots of the status keep their colours."""


def picture(name: str, png: bytes) -> None:
    """Write a figure to `images/NAME.png`."""
    path = DOCS / "images" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(path, optimize=True)

"""What the HTML pages share: their skeleton and style, plots as SVG, small pictures of items."""

from matchcut.pages.pictures import Pictures
from matchcut.pages.render import render

__all__ = ["Pictures", "render"]

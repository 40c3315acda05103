"""From a matplotlib figure to the bytes of an SVG or PNG."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib.figure import Figure

from .pictures import house_style

PNG_DPI = 192
#: An SVG above this size (thousands of marks) is slower to show than the same picture as PNG.
MAX_SVG_BYTES = 400_000


@dataclass(frozen=True)
class EncodedFigure:
    """A picture as bytes.

    Attributes:
        mime: ``image/svg+xml`` or ``image/png``.
        data: Content of the file.
        width: Width at normal zoom, CSS pixels.
        height: Height at normal zoom, CSS pixels.
    """

    mime: str
    data: bytes
    width: int
    height: int

    @property
    def data_uri(self) -> str:
        """The picture as ``data:`` address, base64."""
        return f'data:{self.mime};base64,{base64.b64encode(self.data).decode("ascii")}'


@house_style()
def encode_figure(figure: Figure, format: str = 'auto') -> EncodedFigure:
    """Save a figure to bytes; the same figure gives the same bytes.

    Args:
        figure: Figure to save; it is not changed or closed.
        format: ``'svg'``, ``'png'``, or ``'auto'``: PNG for heat maps and for an SVG of more than
            400 kB, SVG for the rest.

    Raises:
        ValueError: Unknown ``format``.
    """
    if format not in ('auto', 'svg', 'png'):
        raise ValueError(f"format: expected 'auto', 'svg' or 'png', got {format!r}")
    chosen = format
    if format == 'auto':
        chosen = 'png' if any(axes.images for axes in figure.axes) else 'svg'
    data = _save(figure, chosen)
    if format == 'auto' and chosen == 'svg' and len(data) > MAX_SVG_BYTES:
        chosen, data = 'png', _save(figure, 'png')
    width, height = figure.get_size_inches()
    mime = {'svg': 'image/svg+xml', 'png': 'image/png'}[chosen]
    return EncodedFigure(mime, data, round(width * 96), round(height * 96))


def _save(figure: Figure, format: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {'Date': None} if format == 'svg' else None
    figure.savefig(buffer, format=format, dpi=PNG_DPI, facecolor='white', metadata=metadata)
    return buffer.getvalue()

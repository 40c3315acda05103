"""Pictures, tables and the HTML report; the last station of the data flow.

Nothing here trains, predicts or measures: the functions take arrays, segments and results that
other parts of the package made, and turn them into something to look at. Importing this package
imports matplotlib, but neither pyplot nor torch.
"""

from .curves import plot_loss
from .encode import EncodedFigure, encode_figure
from .render import to_html, to_markdown, to_rich, to_text
from .report import BulletList, FigureBlock, Section, TableBlock, write_report
from .table import Cell, Column, Difference, Table, build_table
from .timeline import best_detections, plot_timeline
from .tsm import cosine_tsm, plot_tsm

__all__ = [
    'BulletList',
    'Cell',
    'Column',
    'Difference',
    'EncodedFigure',
    'FigureBlock',
    'Section',
    'Table',
    'TableBlock',
    'best_detections',
    'build_table',
    'cosine_tsm',
    'encode_figure',
    'plot_loss',
    'plot_timeline',
    'plot_tsm',
    'to_html',
    'to_markdown',
    'to_rich',
    'to_text',
    'write_report',
]

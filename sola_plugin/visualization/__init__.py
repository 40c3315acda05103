"""Pictures, tables and the HTML report; the last station of the data flow.

Nothing here trains, predicts or measures: the functions take arrays, segments and results that
other parts of the package made, and turn them into something to look at. Importing this package
imports matplotlib, but neither pyplot nor torch.
"""

from .curves import plot_boundary_accuracy, plot_comparison, plot_loss
from .encode import EncodedFigure, encode_figure, write_gif
from .errors import (
    bucket_table,
    false_positive_table,
    plot_false_negatives,
    plot_false_positives,
    plot_sensitivity,
)
from .intervals import plot_lengths, plot_similarity_by_interval
from .render import to_html, to_markdown, to_rich, to_text
from .report import Block, BulletList, CodeBlock, FigureBlock, Section, TableBlock, write_report
from .spread import Cell, Difference
from .table import Column, Table, build_table
from .timeline import best_detections, plot_timeline
from .timeline_page import write_timeline_page
from .tsm import cosine_tsm, plot_tsm

__all__ = [
    'Block',
    'BulletList',
    'CodeBlock',
    'Cell',
    'Column',
    'Difference',
    'EncodedFigure',
    'FigureBlock',
    'Section',
    'Table',
    'TableBlock',
    'best_detections',
    'bucket_table',
    'build_table',
    'cosine_tsm',
    'encode_figure',
    'false_positive_table',
    'plot_boundary_accuracy',
    'plot_false_negatives',
    'plot_false_positives',
    'plot_comparison',
    'plot_lengths',
    'plot_loss',
    'plot_sensitivity',
    'plot_similarity_by_interval',
    'plot_timeline',
    'plot_tsm',
    'to_html',
    'to_markdown',
    'to_rich',
    'to_text',
    'write_gif',
    'write_report',
    'write_timeline_page',
]

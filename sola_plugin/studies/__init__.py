"""Experiments: grids of trainings over seeds, their results, and what they cost."""

from .study import Cell, Study, StudyError, load_study

__all__ = ['Cell', 'Study', 'StudyError', 'load_study']

"""Experiments: grids of trainings over seeds, their results, and what they cost."""

from .study import Condition, Study, StudyError, load_study

__all__ = ['Condition', 'Study', 'StudyError', 'load_study']

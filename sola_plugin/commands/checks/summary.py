"""The result of a data set's check, for reading and as JSON."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator

from sola_plugin.datasets.findings import LEVELS, Finding
from sola_plugin.segments import threshold_name
from sola_plugin.visualization import Table, to_text

from .dataset import DatasetReport

_TITLES = dict(zip(LEVELS, ('errors', 'warnings', 'information')))
_WIDTH = 110


def check_text(report: DatasetReport) -> str:
    """Return findings by level, then the oracle, as text.

    Args:
        report: Of :func:`.check_dataset`.
    """
    lines: list[str] = []
    for level, title in _TITLES.items():
        findings = report.of_level(level)
        lines.append(f'{title}: {len(findings)}')
        lines += [line for finding in findings for line in _lines(finding)]
    text = '\n'.join(lines) + '\n'
    if report.oracles:
        by_length = (result.length_table(name) for name, result in report.oracles.items())
        text += '\n' + '\n'.join(map(to_text, (_oracle_table(report), *by_length)))
    return text


def check_json(report: DatasetReport) -> dict:
    """Return ``{'errors', 'warnings', 'information': [finding], 'oracle': {subset: figures}}``.

    Args:
        report: Of :func:`.check_dataset`.
    """
    findings: dict = {
        title: [dataclasses.asdict(finding) for finding in report.of_level(level)]
        for level, title in _TITLES.items()
    }
    return findings | dict(
        oracle={name: result.to_dict() for name, result in report.oracles.items()}
    )


def _lines(finding: Finding) -> Iterator[str]:
    yield from textwrap.wrap(
        f'{finding.kind}: {finding.message}',
        _WIDTH,
        initial_indent='  ',
        subsequent_indent='    ',
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from (f'      {" ".join(example.split())}' for example in finding.examples)
    if finding.examples and finding.count > len(finding.examples):
        yield f'      and {finding.count - len(finding.examples)} more'


def _oracle_table(report: DatasetReport) -> Table:
    rows: list[tuple[str, ...]] = []
    thresholds: tuple[str, ...] = ()
    for name, result in report.oracles.items():
        thresholds = tuple(map(threshold_name, result.oracle.tiou_thresholds))
        for figure, values in (
            ('mAP', result.oracle.precision.mAP),
            ('recall', result.oracle.recall),
        ):
            rows.append(
                (
                    f'{name}: {figure}',
                    f'{100 * values.mean():.2f}',
                    *(f'{100 * value:.2f}' for value in values),
                )
            )
    return Table(
        ('oracle, percent', 'average', *thresholds),
        tuple(rows),
        'The best that the proposals of the grid can give, if chosen and classified without fault.',
    )

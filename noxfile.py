"""`make matrix`: environments as users have them, a core of the tests in each, a table.

The table stands in docs/install.md.
"""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import nox

#: PyTorch for the CPU, where it can be had.
TORCH = 'torch==2.13.0'
PINNED = ('--constraint', 'constraints.txt')
#: Environment → what is installed beside the package, and the packages that this is about.
CELLS: dict[str, tuple[str, ...]] = {
    'pinned': PINNED,
    'newest': ('numpy', 'setuptools', 'scipy', 'scikit-learn', 'matplotlib', 'rich'),
    'numpy1': ('numpy<2', 'opencv-python<4.12', 'opencv-contrib-python<4.12'),
    'mmaction1.1': ('mmaction2==1.1.0', 'mmcv-lite==2.0.1'),
    'mmengine0.10.3': ('mmengine==0.10.3',),
    'setuptools69': (),
    'transformers': ('transformers', 'timm', 'importlib_metadata'),
    'transformers4': ('transformers<5', 'setuptools<81'),
    'headless': (),
    'torch2.14': ('torch==2.14.1', 'torchvision==0.29.1', 'timm'),
}
#: What is put in place of what pip has chosen, whatever other packages ask for.
FORCED = {'setuptools69': 'setuptools==69.5.1', 'headless': 'opencv-python-headless'}
#: Import and mends, equality with references, tiny runs of every command.
CORE = (
    'tests/test_compat.py',
    'tests/test_optional_parts.py',
    'tests/test_main.py',
    'tests/test_configs.py',
    'tests/test_devices.py',
    'tests/heads/test_bmn.py',
    'tests/heads/test_gtad.py',
    'tests/heads/test_actionformer.py',
    'tests/necks',
    'tests/pretraining/test_similarity_matching.py',
    'tests/pretraining/test_exact_resume.py',
    'tests/evaluation/test_average_precision.py',
    'tests/evaluation/test_average_recall.py',
    'tests/commands/test_tools.py',
    'tests/commands/test_checkpoints.py',
    'tests/commands/test_localize.py',
)
COLUMNS = ('torch', 'numpy', 'mmengine', 'mmaction2', 'mmcv-lite', 'setuptools', 'transformers')
PAGE = Path('docs/install.md')
MARKS = ('<!-- matrix: begin -->\n', '<!-- matrix: end -->')

nox.options.reuse_existing_virtualenvs = False
nox.options.stop_on_first_error = False


def run_cell(session: nox.Session) -> None:
    """Build an environment and run the core in it; the row is written whatever comes of it."""
    beside = CELLS[session.name]
    torch = [word for word in beside if word.startswith('torch')] or [TORCH]
    session.install(*torch)
    session.install(*torch, '.[lite,h5]', 'pytest', 'pytest-xdist', *beside)
    if session.name in FORCED:
        if 'opencv' in FORCED[session.name]:
            session.run('pip', 'uninstall', '-yq', 'opencv-python', 'opencv-contrib-python')
        session.run('pip', 'install', '-q', '--no-deps', FORCED[session.name])
    report = session.run('python', 'tools/check_environment.py', '--json', silent=True)
    result = 'fails'
    try:
        tests = ['python', '-m', 'pytest', '--numprocesses', '2', '--dist', 'worksteal', *CORE]
        printed = session.run(*tests, silent=True, env={'OMP_NUM_THREADS': '1'})
        result = printed.strip().splitlines()[-1]
    finally:
        write_row(session.name, str(report), result)


def write_row(name: str, report: str, result: str) -> None:
    """Put the row of an environment into the table of the page."""
    versions = json.loads(report[report.index('{') :])['versions']
    python = versions['python'].split()[0]
    passed = re.search(r'\d+ passed', result)
    cells = [
        name,
        python,
        *(versions.get(column) or '–' for column in COLUMNS),
        passed.group() if passed and 'failed' not in result else result,
        datetime.date.today().isoformat(),
    ]
    page = PAGE.read_text(encoding='utf-8')
    before, table = page.split(MARKS[0])
    table, after = table.split(MARKS[1])
    rows = {row.split(' | ')[0]: row for row in table.splitlines()[2:]}
    rows[f'| {name}'] = f'| {" | ".join(cells)} |'
    header = ['environment', 'Python', *COLUMNS, 'core of the tests', 'date']
    known = [rows[f'| {cell}'] for cell in CELLS if f'| {cell}' in rows]
    lines = [f'| {" | ".join(header)} |', '|' + '---|' * len(header), *known]
    PAGE.write_text(
        before + MARKS[0] + '\n'.join(lines) + '\n' + MARKS[1] + after, encoding='utf-8'
    )


for cell in CELLS:
    nox.session(name=cell, venv_backend='venv')(run_cell)

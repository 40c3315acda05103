"""Evaluation is usable without torch."""

import subprocess
import sys


def test_importing_the_functions_imports_numpy_only():
    code = (
        'import sys; from sola_plugin.evaluation import average_precision, average_recall;'
        'assert callable(average_precision) and callable(average_recall);'
        "print([m for m in ('torch', 'mmengine', 'mmaction', 'sklearn', 'scipy', 'pandas')"
        ' if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'

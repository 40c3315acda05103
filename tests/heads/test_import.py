"""Post-processing is usable without torch: by a server that has the maps from elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import environment


def test_post_processing_needs_numpy_only():
    code = """
import sys
for name in ('torch', 'mmengine', 'mmaction', 'mmcv', 'sklearn', 'scipy', 'pandas'):
    sys.modules[name] = None  # an import of it fails
import numpy as np
from sola_plugin.heads.shared.detections import DetectionSettings, detect
from sola_plugin.heads.shared.map_postprocessing import MapPostProcessing
from sola_plugin.heads.shared.proposals import proposals_from_maps, proposals_in_seconds
from sola_plugin.heads.shared.suppression import soft_nms
maps = np.full((2, 4, 4), 0.5)
found = proposals_from_maps(np.full(4, 0.5), np.full(4, 0.5), maps)
(kept,) = soft_nms([found], 0.4, 0.5, 0.9, 10)
assert MapPostProcessing().rows(4) == 4
print(len(proposals_in_seconds(kept, (0.0, 8.0), 8.0, 3)))
print(len(detect(np.array([[0., 2.]]), np.array([[0.9, 0.1]]), DetectionSettings())[0]))
"""
    done = subprocess.run(
        [sys.executable, '-c', code], text=True, capture_output=True, env=environment()
    )
    assert done.stdout.split() == ['3', '2'], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    'line',
    [
        'from sola_plugin.heads import GTAD',
        'from sola_plugin.heads.shared.map_targets import map_targets',
    ],
)
def test_any_head_can_be_imported_first(line):
    """Whose import brings mmaction2's models, whose import brings all heads."""
    done = subprocess.run(
        [sys.executable, '-c', line], text=True, capture_output=True, env=environment()
    )
    assert done.returncode == 0, done.stderr

#!/usr/bin/env python
"""ONNX files in onnxruntime against PyTorch, on the CPU, interleaved in one run.

    OMP_WAIT_POLICY=passive python benchmarks/onnx_files.py      # as in docs/benchmarks.md
    python benchmarks/onnx_files.py --rows SoLa --repeats 3

Needs the extra ``onnx``. Networks are those of the shipped configs, with SoLa before the head and
random weights, one video at a time, in evaluation mode; PyTorch in ``inference_mode``. BMN with
maps of 100 durations.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import measure
import torch
from mmaction.registry import MODELS
from mmengine.config import Config

import sola_plugin  # noqa: F401  (registers the models)
from sola_plugin.commands.onnx_export import export_onnx
from sola_plugin.necks import SoLa

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/localization'

#: Config, snippets of the video.
ROWS = {
    'SoLa': (None, 2304),
    'BMN': ('bmn_activitynet_sola.py', 400),
    'GTAD': ('gtad_activitynet_sola.py', 400),
    'ActionFormer': ('actionformer_thumos14_sola.py', 2304),
}


def network_of(config: str | None) -> torch.nn.Module:
    """A network with random weights."""
    torch.manual_seed(0)
    if config is None:
        return SoLa(2048).eval()
    return MODELS.build(Config.fromfile(CONFIGS / config).model).eval()


def compare(name: str, threads: int, repeats: int) -> str:
    """A row of the table."""
    import onnxruntime

    from sola_plugin.commands import onnx_export

    config, length = ROWS[name]
    network = network_of(config)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        done = export_onnx(network, path, lengths=(length,))
        size = path.stat().st_size / 1e6
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
    graph = onnx_export.graph_of(network, 'all').eval()
    features = torch.randn(1, done['inputs']['features'][1], length)

    @torch.inference_mode()
    def by_torch() -> None:
        graph(features)

    def by_onnxruntime() -> None:
        session.run(None, dict(features=features.numpy()))

    for function in (by_torch, by_onnxruntime):
        function()
    theirs, ours = measure.milliseconds(by_torch, by_onnxruntime, repeats)
    return (
        f'| {name} | {features.shape[1]} × {length} | {size:,.0f} | {theirs:,.1f} | {ours:,.1f} | '
        f'{theirs / ours:.2f}× | {done["difference"][length]:.0e} |'
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--threads', type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    waiting = os.environ.get('OMP_WAIT_POLICY', 'unset')
    print(
        f'{measure.machine()}, OMP_WAIT_POLICY={waiting}; median of {arguments.repeats}, '
        'interleaved\n\n| network | features | file, MB | PyTorch, ms | onnxruntime, ms | speed-up '
        '| largest difference |\n|---|---|---|---|---|---|---|',
        flush=True,
    )
    for name in arguments.rows:
        print(compare(name, arguments.threads, arguments.repeats), flush=True)


if __name__ == '__main__':
    main()

"""The frozen encoder of the watch data: a small classifier of trimmed smart-watch exercises.

It plays the part of the action-recognition network that features of untrimmed videos usually come
from: trained on trimmed clips, for classification alone, then frozen. See docs/watch.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola_plugin.progress import Show

#: Samples that one snippet covers, and samples from one snippet to the next.
WINDOW, STRIDE = 32, 16
#: Channels of the whole signal (three axes of acceleration, then three of rotation) and of the
#: features.
SIGNAL_CHANNELS, FEATURE_CHANNELS = 6, 128


class SnippetEncoder(nn.Module):
    """Four convolutions, average pooling over time and a linear classifier.

    Args:
        num_classes: Number of trimmed exercises to tell apart.
        mean: Mean of each signal channel over the training clips, shape ``(S,)``.
        std: Standard deviation likewise.
        signal_channels: S, 6 for the whole signal, 3 for one sensor.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, num_classes: int, mean: Tensor, std: Tensor, signal_channels: int = SIGNAL_CHANNELS
    ) -> None:
        super().__init__()
        self.register_buffer('mean', mean[:, None])
        self.register_buffer('std', std[:, None])
        self.convolutions = nn.Sequential(
            *_block(signal_channels, 32, kernel_size=5, stride=1),
            *_block(32, 64, kernel_size=5, stride=2),
            *_block(64, 128, kernel_size=3, stride=2),
            *_block(128, FEATURE_CHANNELS, kernel_size=3, stride=1),
        )
        self.classifier = nn.Linear(FEATURE_CHANNELS, num_classes)

    def extract(self, windows: Tensor) -> Tensor:
        """Signal windows ``(N, S, 32)`` to pooled features ``(N, 128)``, each at least 0."""
        return self.convolutions((windows - self.mean) / self.std).mean(dim=2)

    def forward(self, windows: Tensor) -> Tensor:
        """Signal windows ``(N, S, 32)`` to class logits ``(N, num_classes)``."""
        return self.classifier(self.extract(windows))


def _block(inputs: int, outputs: int, kernel_size: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv1d(
        inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return convolution, nn.BatchNorm1d(outputs), nn.ReLU()


def train_encoder(
    clips: Sequence[np.ndarray],
    labels: Sequence[int],
    seed: int,
    steps: int = 400,
    batch_size: int = 64,
    lr: float = 1e-3,
    progress: Show | None = None,
) -> SnippetEncoder:
    """Train a classifier of 32-sample windows and freeze it.

    Each step draws `batch_size` windows: a clip at random, then a start at random within the clip.

    Args:
        clips: Trimmed signals, float32 ``(n, S)`` with ``n >= 32``.
        labels: Class of each clip, ``0 .. num_classes - 1``.
        seed: Fixes the initial weights and the windows drawn; torch's own generator is left alone.
        steps: Number of AdamW steps.
        batch_size: Windows a step.
        lr: Learning rate.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        The encoder in evaluation mode, without gradients.
    """
    everything = np.concatenate(clips)
    lengths = np.array([len(clip) for clip in clips])
    first = np.cumsum(lengths) - lengths
    targets = np.asarray(labels)
    generator = np.random.default_rng(seed)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = SnippetEncoder(
            num_classes=int(targets.max()) + 1,
            mean=torch.from_numpy(everything.mean(axis=0)),
            std=torch.from_numpy(everything.std(axis=0)),
            signal_channels=everything.shape[1],
        )
        optimizer = torch.optim.AdamW(encoder.parameters(), lr=lr)
        for step in range(steps):
            chosen = generator.integers(len(clips), size=batch_size)
            starts = first[chosen] + generator.integers(lengths[chosen] - WINDOW + 1)
            windows = everything[starts[:, None] + np.arange(WINDOW)]
            logits = encoder(torch.from_numpy(windows).transpose(1, 2))
            loss = F.cross_entropy(logits, torch.from_numpy(targets[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if progress:
                progress('training the encoder', step + 1, steps)
    return encoder.eval().requires_grad_(False)


def extract_features(encoder: SnippetEncoder, signal: np.ndarray) -> np.ndarray:
    """Features of a whole signal, snippet by snippet.

    Args:
        encoder: A frozen encoder.
        signal: float32 ``(n, S)`` with ``n >= 32``.

    Returns:
        float32 ``(T, 128)`` with ``T = (n - 32) // 16 + 1``; snippet ``i`` covers samples
        ``[16 i, 16 i + 32)`` and nothing else.
    """
    with _one_thread():
        return encoder.extract(_windows(signal)).numpy()


def window_accuracy(
    encoder: SnippetEncoder,
    clips: Sequence[np.ndarray],
    labels: Sequence[int],
) -> tuple[float, int]:
    """Share of the clips' windows (stride 16) classified rightly, and the number of windows."""
    with _one_thread():
        right = torch.cat(
            [encoder(_windows(clip)).argmax(dim=1) == label for clip, label in zip(clips, labels)]
        )
    return right.float().mean().item(), len(right)


def _windows(signal: np.ndarray) -> Tensor:
    return torch.from_numpy(signal.T.copy()).unfold(1, WINDOW, STRIDE).transpose(0, 1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are split over threads: only a fixed number of threads always gives the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

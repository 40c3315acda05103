"""Layers on rows: ``(N, T, C)``, the channels of a position side by side in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def taps(x: Tensor, size: int, stride: int, fill: float = 0.0) -> list[Tensor]:
    """What a layer that looks at neighbours reads of them, with "same" padding.

    Args:
        x: ``(N, T, C)``.
        size: Positions that are seen, odd.
        stride: Output ``j`` is centred at ``stride * j``.
        fill: Value of the padding.

    Returns:
        For each of the positions seen ``(N, ceil(T / stride), C)``, the first ones first.
    """
    padded = F.pad(x, (0, 0, size // 2, size // 2), value=fill)
    reach = (x.shape[1] - 1) // stride * stride + 1
    return [padded[:, first : first + reach : stride] for first in range(size)]


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1) -> Tensor:
    """Convolution as one matrix product.

    Args:
        x: ``(N, T, C)``.
        weight: ``(E, C, size)``.
        bias: ``(E,)``.
        stride: See :func:`taps`.

    Returns:
        ``(N, ceil(T / stride), E)``.
    """
    size = weight.shape[2]
    if size == 1 and stride == 1:
        return F.linear(x, weight.squeeze(2), bias)
    seen = torch.cat(taps(narrowed(x), size, stride), dim=2)
    return F.linear(seen, weight.transpose(1, 2).flatten(1), bias)


def max_pool(x: Tensor, size: int, stride: int) -> Tensor:
    """Largest of ``size`` positions, ``(N, T, C)`` to ``(N, ceil(T / stride), C)``."""
    first, *others = taps(x, size, stride, fill=-torch.inf)
    for other in others:
        first = torch.maximum(first, other)
    return first


def layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Layer norm in the precision of ``x``; its sums are float32 or wider.

    Autocast would widen half precision, for this layer and what follows it.
    """
    with torch.autocast(x.device.type, enabled=False):
        assert norm.weight is not None and norm.bias is not None
        weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
        return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def convolve_normalise_project(
    x: Tensor,
    convs: Sequence[nn.Conv1d],
    norms: Sequence[nn.LayerNorm],
    projections: Sequence[nn.Conv1d],
    keep: Tensor | None = None,
) -> Tensor:
    """Depthwise convolution, layer norm and projection, of several sets of weights at once.

    Args:
        x: ``(N, T, C)``.
        convs: K depthwise convolutions of equal size and stride, without bias.
        norms: K layer norms of equal ``eps``.
        projections: K convolutions of single positions.
        keep: Bool ``(N, ceil(T / stride))``; where false, zeros are normalised.

    Returns:
        ``(K, N, ceil(T / stride), E)``.
    """
    x = narrowed(x)
    kernels = torch.stack([conv.weight for conv in convs])[:, :, 0].permute(2, 0, 1)
    kernels = kernels.to(x.dtype, memory_format=torch.contiguous_format)[:, :, None, None]
    first, *others = zip(taps(x, len(kernels), convs[0].stride[0]), kernels)
    result = first[0] * first[1]
    for seen, kernel in others:
        result = torch.addcmul(result, seen, kernel)
    if keep is not None:
        result = result * keep[:, :, None]
    vectors: list[Tensor] = [vector for norm in norms for vector in (norm.weight, norm.bias)]
    vectors += [projection.bias for projection in projections]  # type: ignore[misc]
    affine, bias = torch.stack(vectors).to(x.dtype).split([2 * len(norms), len(norms)])
    with torch.autocast(x.device.type, enabled=False):
        normal = F.layer_norm(result, norms[0].normalized_shape, eps=norms[0].eps).flatten(1, 2)
        inputs = torch.addcmul(affine[1::2, None], normal, affine[::2, None])
    weight = torch.stack([projection.weight for projection in projections]).squeeze(3)
    projected = torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))
    return projected.unflatten(1, result.shape[1:3])


def narrowed(x: Tensor) -> Tensor:
    """In the precision of autocast, so that what comes before a product is not computed wider."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind)) if x.dtype == torch.float32 else x

"""YOLOX (Ge et al. 2021): every cell of three grids says where an object is, and of which class.

Colours go through a backbone of cross-stage-partial blocks (dark2 … dark5), a pyramid that mixes
its three coarsest grids downwards and upwards (PANet, Liu et al. 2018), and a head that tells
boxes and classes apart. One anchor per cell, no anchor boxes. Modules are named as in the
published files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Iterator

STRIDES = 8, 16, 32
"""Pixels from cell to cell of the three grids; sides of an input are multiples of the last."""
BN_EPSILON, BN_MOMENTUM = 1e-3, 0.03
"""Not torch's defaults; without them published weights give other boxes."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the published sizes differ in.

    Attributes:
        channels: Of the stem; all other widths are multiples of it.
        depth: Bottlenecks of a short stage; a long one has three times as many.
        depthwise: Whether 3×3 convolutions are separable.
    """

    channels: int
    depth: int
    depthwise: bool = False


SIZES = {
    'nano': Size(16, 1, depthwise=True),
    'tiny': Size(24, 1),
    's': Size(32, 1),
    'm': Size(48, 2),
    'l': Size(64, 3),
    'x': Size(80, 4),
}


class Yolox(nn.Module):
    """The whole network.

    Args:
        size: A key of `SIZES`.
        classes: Number of classes.
    """

    def __init__(self, size: str, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = Pyramid(SIZES[size])
        self.head = Head(SIZES[size], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return what each cell says, undecoded.

        Args:
            images: B×3×h×w, h and w multiples of 32.

        Returns:
            B×A×(5 + classes): dx, dy, log w, log h in cells, then the logits of there being an
            object and of each class. A = Σ h/s · w/s; the finest grid first, row by row.
        """
        cells: Tensor = self.head(self.backbone(images))
        return cells


def decode(cells: Tensor, height: int, width: int) -> Tensor:
    """Return centre x, centre y, width, height in pixels and probabilities of each cell.

    Args:
        cells: B×A×(5 + classes), as `Yolox` returns them for inputs of height×width.
        height: Pixels.
        width: Pixels.

    Returns:
        The same shape; objectness and the classes' probabilities behind the box.
    """
    corner, stride = _grid(height, width, cells)
    centre = (cells[..., :2] + corner) * stride
    return torch.cat([centre, cells[..., 2:4].exp() * stride, cells[..., 4:].sigmoid()], -1)


def _grid(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return column and row (A×2), and the stride (A×1), of each cell."""
    corners, strides = [], []
    for stride in STRIDES:
        rows = torch.arange(height // stride, device=like.device, dtype=like.dtype)
        columns = torch.arange(width // stride, device=like.device, dtype=like.dtype)
        y, x = torch.meshgrid(rows, columns, indexing='ij')
        corners.append(torch.stack([x, y], -1).reshape(-1, 2))
        strides.append(torch.full_like(corners[-1][:, :1], stride))
    return torch.cat(corners), torch.cat(strides)


def fuse(network: nn.Module) -> None:
    """Fold each batch normalisation into its convolution: the same function with half the reads.

    Args:
        network: In evaluation mode; changed in place, and of no use for training afterwards.
    """
    for module in network.modules():
        if isinstance(module, Convolution) and isinstance(module.bn, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()


class Pyramid(nn.Module):
    """The backbone, then its grids mixed from coarse to fine and back again."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        fine, middle, coarse = _widths(size)
        self.backbone = Backbone(size)
        self.lateral_conv0 = Convolution(coarse, middle, 1)
        self.C3_p4 = Stage(2 * middle, middle, size.depth, size, shortcut=False)
        self.reduce_conv1 = Convolution(middle, fine, 1)
        self.C3_p3 = Stage(2 * fine, fine, size.depth, size, shortcut=False)
        self.bu_conv2 = _three_by_three(fine, fine, size, stride=2)
        self.C3_n3 = Stage(2 * fine, middle, size.depth, size, shortcut=False)
        self.bu_conv1 = _three_by_three(middle, middle, size, stride=2)
        self.C3_n4 = Stage(2 * middle, coarse, size.depth, size, shortcut=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at strides 8, 16 and 32 of B×3×h×w images."""
        fine, middle, coarse = self.backbone(images)
        from_coarse = self.lateral_conv0(coarse)
        from_middle = self.reduce_conv1(self.C3_p4(torch.cat([_twice(from_coarse), middle], 1)))
        at_8 = self.C3_p3(torch.cat([_twice(from_middle), fine], 1))
        at_16 = self.C3_n3(torch.cat([self.bu_conv2(at_8), from_middle], 1))
        at_32 = self.C3_n4(torch.cat([self.bu_conv1(at_16), from_coarse], 1))
        return at_8, at_16, at_32


class Backbone(nn.Module):
    """CSPDarknet: each stage halves the grid and doubles the channels."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, depth = size.channels, size.depth
        self.stem = Focus(width)
        self.dark2 = self._stage(width, depth, size)
        self.dark3 = self._stage(2 * width, 3 * depth, size)
        self.dark4 = self._stage(4 * width, 3 * depth, size)
        self.dark5 = nn.Sequential(
            _three_by_three(8 * width, 16 * width, size, stride=2),
            PyramidPooling(16 * width),
            Stage(16 * width, 16 * width, depth, size, shortcut=False),
        )

    @staticmethod
    def _stage(width: int, depth: int, size: Size) -> nn.Sequential:
        return nn.Sequential(
            _three_by_three(width, 2 * width, size, stride=2),
            Stage(2 * width, 2 * width, depth, size, shortcut=True),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at strides 8, 16 and 32 of B×3×h×w images."""
        fine = self.dark3(self.dark2(self.stem(images)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class Head(nn.Module):
    """Two branches on each grid: one for the class, one for the box and whether there is any."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        fine, *_ = widths = _widths(size)
        self.stems = nn.ModuleList(Convolution(width, fine, 1) for width in widths)
        self.cls_convs = nn.ModuleList(self._branch(fine, size) for _ in widths)
        self.reg_convs = nn.ModuleList(self._branch(fine, size) for _ in widths)
        self.cls_preds = nn.ModuleList(nn.Conv2d(fine, classes, 1) for _ in widths)
        self.reg_preds = nn.ModuleList(nn.Conv2d(fine, 4, 1) for _ in widths)
        self.obj_preds = nn.ModuleList(nn.Conv2d(fine, 1, 1) for _ in widths)

    @staticmethod
    def _branch(width: int, size: Size) -> nn.Sequential:
        return nn.Sequential(*(_three_by_three(width, width, size) for _ in range(2)))

    def forward(self, grids: tuple[Tensor, ...]) -> Tensor:
        """Return B×A×(5 + classes), see `Yolox.forward`."""
        return torch.cat([grid.flatten(2) for grid in self._grids(grids)], 2).transpose(1, 2)

    def _grids(self, grids: tuple[Tensor, ...]) -> Iterator[Tensor]:
        """Yield B×(5 + classes)×rows×columns of each grid."""
        for level, grid in enumerate(grids):
            stem = self.stems[level](grid)
            box = self.reg_convs[level](stem)
            kind = self.cls_preds[level](self.cls_convs[level](stem))
            yield torch.cat([self.reg_preds[level](box), self.obj_preds[level](box), kind], 1)


class Focus(nn.Module):
    """Every 2×2 pixels become one cell with four times the channels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Convolution(12, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return B×channels×h/2×w/2 of B×3×h×w."""
        cells: Tensor = self.conv(focus(x))
        return cells


def focus(x: Tensor) -> Tensor:
    """Return B×12×h/2×w/2 of B×3×h×w: upper left, lower left, upper right, lower right pixels."""
    left, right = x[..., ::2], x[..., 1::2]
    return torch.cat([side[..., first::2, :] for side in (left, right) for first in (0, 1)], 1)


class PyramidPooling(nn.Module):
    """Maxima over windows of three sizes beside the features themselves (SPP, He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels // 2, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in (5, 9, 13))
        self.conv2 = Convolution(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many channels on the same grid."""
        x = self.conv1(x)
        mixed: Tensor = self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))
        return mixed


class Stage(nn.Module):
    """Half of the channels go through bottlenecks, half past them (CSPNet, Wang et al. 2020)."""

    def __init__(self, channels: int, out: int, depth: int, size: Size, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, out // 2, 1)
        self.conv2 = Convolution(channels, out // 2, 1)
        self.conv3 = Convolution(out, out, 1)
        self.m = nn.Sequential(*(Bottleneck(out // 2, size, shortcut) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Return `out` channels on the same grid."""
        mixed: Tensor = self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], 1))
        return mixed


class Bottleneck(nn.Module):
    """A 1×1 and a 3×3 convolution, added to what came in where there is a shortcut."""

    def __init__(self, channels: int, size: Size, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, 1)
        self.conv2 = _three_by_three(channels, channels, size)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return as many channels on the same grid."""
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class Separable(nn.Module):
    """A 3×3 convolution of each channel by itself, then a 1×1 one of all."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.dconv = Convolution(channels, channels, 3, stride, groups=channels)
        self.pconv = Convolution(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `out` channels."""
        y: Tensor = self.pconv(self.dconv(x))
        return y


class Convolution(nn.Module):
    """Convolution, batch normalisation, SiLU; `fuse` makes one of the first two."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn: nn.Module = nn.BatchNorm2d(out, BN_EPSILON, BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Return `out` channels."""
        return silu(self.bn(self.conv(x)))


def _three_by_three(channels: int, out: int, size: Size, stride: int = 1) -> nn.Module:
    if size.depthwise:
        return Separable(channels, out, stride)
    return Convolution(channels, out, 3, stride)


def _widths(size: Size) -> tuple[int, int, int]:
    """Return the channels at strides 8, 16 and 32."""
    return 4 * size.channels, 8 * size.channels, 16 * size.channels


def _twice(x: Tensor) -> Tensor:
    """Return the grid with each cell four times."""
    return interpolate(x, scale_factor=2, mode='nearest')

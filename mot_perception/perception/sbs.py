"""SBS-S50, FastReID's strong baseline for re-identification on ResNeSt-50.

An image of one object becomes 2048 numbers: a ResNet-50 whose 3×3 convolutions attend to two
splits of their channels (Zhang et al. 2020, ResNeSt), generalised-mean pooling with a learnt
exponent (Radenović et al. 2018) and batch normalisation of the result, the BN neck (Luo et al.
2019). Modules are named as in the published files. What only training needs is left out.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

HEIGHT, WIDTH = 384, 128
"""Pixels of a crop, as the published weights were trained."""
DIMENSION = 2048
MEAN = 123.675, 116.28, 103.53
STD = 58.395, 57.12, 57.375
"""Of red, green and blue from 0 to 255 (ImageNet)."""
SMALLEST = 1e-6
"""What generalised-mean pooling takes for values below."""


class SbsS50(nn.Module):
    """The whole network."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNest50()
        self.heads = Head()
        self.register_buffer('mean', torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer('std', torch.tensor(STD)[:, None, None], persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Return N×2048 features, of any length, for N×3×384×128 RGB crops from 0 to 255."""
        features: Tensor = self.heads(self.backbone((crops.float() - self.mean) / self.std))
        return features


def fuse(network: SbsS50) -> None:
    """Fold each batch normalisation into its convolution: the same function with half the reads.

    The BN neck stays, as no convolution comes before it.

    Args:
        network: In evaluation mode; changed in place, and of no use for training afterwards.
    """
    pairs = {
        ResNest50: [('conv1.0', 'conv1.1'), ('conv1.3', 'conv1.4'), ('conv1.6', 'bn1')],
        Block: [('conv1', 'bn1'), ('conv3', 'bn3')],
        SplitAttention: [('conv', 'bn0'), ('fc1', 'bn1')],
        Shortcut: [('1', '2')],
    }
    for module in list(network.modules()):
        for first, second in pairs.get(type(module), []):
            convolution: Any = module.get_submodule(first)
            norm: Any = module.get_submodule(second)
            module.set_submodule(first, fuse_conv_bn_eval(convolution, norm))
            module.set_submodule(second, nn.Identity())


class ResNest50(nn.Module):
    """Four stages of 3, 4, 6 and 3 blocks on a stem of three convolutions.

    Stages shrink by 1, 2, 2 and 1 after the stem's 4; instead of shrinking again, the last one
    looks at every second pixel (dilation 2) from its second block on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(64, 64), *(Block(256, 64) for _ in range(2)))
        self.layer2 = nn.Sequential(Block(256, 128, pool=2), *(Block(512, 128) for _ in range(3)))
        self.layer3 = nn.Sequential(Block(512, 256, pool=2), *(Block(1024, 256) for _ in range(5)))
        self.layer4 = nn.Sequential(
            Block(1024, 512, pool=1), *(Block(2048, 512, dilation=2) for _ in range(2))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return N×2048×h/16×w/16 for a normalised N×3×h×w image."""
        x: Tensor = self.maxpool(self.bn1(self.conv1(image)).relu())
        for block in chain(self.layer1, self.layer2, self.layer3, self.layer4):
            x = block(x)
        return x


class Block(nn.Module):
    """Narrow, attend, widen, and add what came in.

    Args:
        inputs: Channels that come in; 4 × width go out.
        width: Channels between.
        pool: Step of an averaging over 3×3 after the attention; 0 for none.
        dilation: Distance of the pixels that the 3×3 convolution looks at.
    """

    def __init__(self, inputs: int, width: int, *, pool: int = 0, dilation: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = SplitAttention(width, dilation)
        self.pool = nn.AvgPool2d(3, stride=pool, padding=1) if pool else nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = Shortcut(
                nn.AvgPool2d(pool or 1),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return N×4·width×h/pool×w/pool for N×inputs×h×w."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.pool(self.conv2(y))
        y = self.bn3(self.conv3(y))
        total: Tensor = y + self.downsample(x)
        return total.relu()


class Shortcut(nn.Sequential):
    """What came into a block, as large as what comes out of it."""


class SplitAttention(nn.Module):
    """Two 3×3 convolutions of half the channels each, mixed channel by channel.

    The shares of the two splits sum to one in each channel; what is seen on average decides.
    """

    SPLITS = 2

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        wide, hidden = self.SPLITS * channels, max(self.SPLITS * channels // 4, 32)
        self.conv = nn.Conv2d(
            channels,
            wide,
            3,
            padding=dilation,
            dilation=dilation,
            groups=self.SPLITS,
            bias=False,
        )
        self.bn0 = nn.BatchNorm2d(wide)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return N×channels×h×w for the same."""
        splits = self.bn0(self.conv(x)).relu().unflatten(1, (self.SPLITS, -1))
        seen = splits.sum(1).mean((-2, -1), keepdim=True)
        wanted = self.fc2(self.bn1(self.fc1(seen)).relu())
        shares = wanted.unflatten(1, (self.SPLITS, -1)).softmax(1)
        mixed: Tensor = (splits * shares).sum(1)
        return mixed


class Head(nn.Module):
    """From a map of features to one vector."""

    def __init__(self) -> None:
        super().__init__()
        self.pool_layer = GeneralisedMean()
        self.bottleneck = nn.Sequential(nn.BatchNorm1d(DIMENSION))

    def forward(self, features: Tensor) -> Tensor:
        """Return N×2048 for N×2048×h×w, after the BN neck."""
        vectors: Tensor = self.bottleneck(self.pool_layer(features))
        return vectors


class GeneralisedMean(nn.Module):
    """Between the mean (exponent 1) and the maximum (infinite) of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return N×C for N×C×h×w; in float32, as powers leave the range of half precision."""
        powers = features.float().clamp(min=SMALLEST) ** self.p
        return powers.mean((-2, -1)) ** (1 / self.p)

"""Deformable DETR with a ResNet, in one file, to be read from top to bottom.

Image → ResNet → four feature maps → encoder → 300 queries through the decoder → boxes (Zhu et
al., arXiv 2010.04159: multi-scale deformable attention, iterative box refinement, one stage).
Depth enters by `spatial_adapter`. Attribute names are those of the published checkpoints.

Letters in shapes: B images, Q queries or tokens that ask, S tokens of all levels, L levels, P
points. Coordinates are x, y in [0, 1] of the padded image; a mask is True where there is no image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot_perception.fdta.attention import Attention
from mot_perception.fdta.sampling import Levels, Size, gathered_sum, levels_of, sampled_sum
from mot_perception.fdta.spatial_adapter import GROUPS, Depth, DepthPredictor

if TYPE_CHECKING:
    from mot_perception.fdta.settings import DetectorSettings, SpatialSettings


class Detections(NamedTuple):
    """What the detector says of B images."""

    logits: Tensor
    """(decoder layers, B, Q, classes); a sigmoid makes scores of them. The last layer counts."""
    boxes: Tensor
    """float32 (decoder layers, B, Q, 4): centre x, centre y, width, height in [0, 1]."""
    embeddings: Tensor
    """(B, Q, width): the queries after the last layer, by which identities are told."""
    depth: Depth | None
    """None where the decoder knows no depth."""


# --- ResNet ---

EPSILON = 1e-5
"""Added to variances before they divide."""


class FrozenBatchNorm(nn.Module):
    """Batch normalisation whose numbers never change."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer('weight', torch.ones(channels))
        self.register_buffer('bias', torch.zeros(channels))
        self.register_buffer('running_mean', torch.zeros(channels))
        self.register_buffer('running_var', torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, C, h, w), scaled and shifted channel by channel."""
        scale = self.weight * torch.rsqrt(self.running_var + EPSILON)
        shift = self.bias - self.running_mean * scale
        return maps * scale[:, None, None] + shift[:, None, None]


class Bottleneck(nn.Module):
    """1×1, 3×3 (where the stride is), 1×1 convolution, added to what came in."""

    def __init__(self, incoming: int, channels: int, stride: int) -> None:
        super().__init__()
        outgoing = 4 * channels
        self.conv1 = nn.Conv2d(incoming, channels, 1, bias=False)
        self.bn1 = FrozenBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(channels)
        self.conv3 = nn.Conv2d(channels, outgoing, 1, bias=False)
        self.bn3 = FrozenBatchNorm(outgoing)
        self.downsample = (
            None
            if stride == 1 and incoming == outgoing
            else nn.Sequential(
                nn.Conv2d(incoming, outgoing, 1, stride, bias=False), FrozenBatchNorm(outgoing)
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, 4·channels, h / stride, w / stride)."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        maps = functional.relu(self.bn1(self.conv1(maps)), inplace=True)
        maps = functional.relu(self.bn2(self.conv2(maps)), inplace=True)
        return functional.relu(self.bn3(self.conv3(maps)) + shortcut, inplace=True)


class ResNet(nn.Module):
    """ResNet; (3, 4, 6, 3) blocks of 64 channels make ResNet-50."""

    def __init__(self, blocks: tuple[int, int, int, int], stem: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(stem)
        self.layer1 = self._stage(stem, stem, blocks[0], 1)
        self.layer2 = self._stage(4 * stem, 2 * stem, blocks[1], 2)
        self.layer3 = self._stage(8 * stem, 4 * stem, blocks[2], 2)
        self.layer4 = self._stage(16 * stem, 8 * stem, blocks[3], 2)

    @staticmethod
    def _stage(incoming: int, channels: int, count: int, stride: int) -> nn.Sequential:
        first = Bottleneck(incoming, channels, stride)
        rest = [Bottleneck(4 * channels, channels, 1) for _ in range(count - 1)]
        return nn.Sequential(first, *rest)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of stride 8, 16 and 32 of images (B, 3, H, W)."""
        maps = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        maps = functional.max_pool2d(maps, 3, stride=2, padding=1)
        found = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
            found.append(maps)
        return found[1:]


class Backbone(nn.Module):
    """Holds the ResNet under the name that checkpoints give it."""

    def __init__(self, blocks: tuple[int, int, int, int], stem: int) -> None:
        super().__init__()
        self.body = ResNet(blocks, stem)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of stride 8, 16 and 32 of images (B, 3, H, W)."""
        maps: list[Tensor] = self.body(images)
        return maps


# --- Positions ---


def sine_positions(padded: Tensor, width: int) -> Tensor:
    """Return the position code of every pixel of a map: bool (B, h, w) → float32 (B, width, h, w).

    The first half codes y, the second x, each as pairs of sine and cosine; pixels count from the
    image's border, ½ is the first one's centre, and the whole image is 2π long.
    """
    valid = ~padded
    codes = []
    for axis in (1, 2):
        count = valid.cumsum(axis, dtype=torch.float32)
        codes.append(_axis_code(count, count.narrow(axis, -1, 1), width // 2))
    return torch.cat(codes, -1).permute(0, 3, 1, 2)  # (B, h, w, width) → (B, width, h, w)


def whole_positions(size: Size, width: int, device: torch.device) -> Tensor:
    """Return what `sine_positions` does where nothing is padding, float32 (width, h, w)."""
    rows, columns = (
        torch.arange(1, count + 1, device=device, dtype=torch.float32) for count in size
    )
    y = _axis_code(rows, rows[-1], width // 2)[:, None].expand(-1, size[1], -1)
    x = _axis_code(columns, columns[-1], width // 2)[None].expand(size[0], -1, -1)
    return torch.cat([y, x], -1).permute(2, 0, 1)


def _axis_code(count: Tensor, length: Tensor, width: int) -> Tensor:
    """Return the code (…, width) of pixels that are the count-th of so many along an axis."""
    return _sines((count - 0.5) / (length + 1e-6) * 2 * math.pi, width)


def _sines(angles: Tensor, width: int) -> Tensor:
    """Return (…, width): sine, cosine, sine, … of angles (…) at falling frequencies."""
    pair = torch.arange(width // 2, device=angles.device, dtype=torch.float32)
    turned = angles[..., None] / 10000 ** (2 * pair / width)
    return torch.stack([turned.sin(), turned.cos()], -1).flatten(-2)


def valid_share(padded: Tensor) -> Tensor:
    """Return which part of a padded map is image: bool (B, h, w) → float32 (B, 2), of x and y."""
    valid = (~padded).float()
    return torch.stack([valid[:, 0].mean(-1), valid[:, :, 0].mean(-1)], -1)


def pixel_centres(size: Size, share: Tensor) -> Tensor:
    """Return where the pixels of a map lie, in shares of the image without its padding.

    Args:
        size: Of the map.
        share: (B, 2) of `valid_share`.

    Returns:
        float32 (B, h·w, 2): x, y, row by row.
    """
    y, x = (torch.arange(n, device=share.device, dtype=torch.float32) + 0.5 for n in size)
    y, x = torch.meshgrid(y / size[0], x / size[1], indexing='ij')
    return torch.stack([x, y], -1).flatten(0, 1) / share[:, None]


# --- Deformable attention ---


class DeformableAttention(nn.Module):
    """Each query looks at a few points per head and level, around a place it brings along."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self._initialise()

    def _initialise(self) -> None:
        """Let every head look in its own direction, point p at p pixels; all weights equal."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        way = torch.stack([angle.cos(), angle.sin()], -1)
        way = way / way.abs().amax(-1, keepdim=True)  # onto a square
        steps = torch.arange(1, self.points + 1)
        offsets = way[:, None, None] * steps[:, None]  # (heads, 1, P, 2)
        with torch.no_grad():
            bias = offsets.expand(-1, self.levels, -1, -1).flatten()
            self.sampling_offsets.bias.copy_(bias)
        for zero in (self.sampling_offsets.weight, *self.attention_weights.parameters()):
            nn.init.zeros_(zero)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Tensor,
        places: Tensor,
        memory: Tensor,
        levels: Levels,
        padded: Tensor | None,
    ) -> Tensor:
        """Return what the queries gather.

        Args:
            query: (B, Q, width).
            places: (B, Q, L, 2) points or (B, Q, L, 4) boxes (centre, size) on each level.
            memory: (B, S, width).
            levels: Of the memory.
            padded: bool (B, S), tokens that count as zeros.

        Returns:
            (B, Q, width).
        """
        each = (self.heads, self.levels, self.points)
        # (B, Q, heads·L·P·2) → (B, Q, heads, L, P, 2); in float32, as half has no such places
        offsets = self.sampling_offsets(query).unflatten(-1, (*each, 2)).float()
        # (B, Q, heads·L·P) → (B, Q, heads, L·P) → (B, Q, heads, L, P)
        weights = self.attention_weights(query).unflatten(-1, (self.heads, -1)).softmax(-1)
        weights = weights.unflatten(-1, each[1:])
        centres = places[:, :, None, :, None, :2]  # (B, Q, 1, L, 1, 2)
        if places.shape[-1] == 2:  # offsets are in pixels
            pixels = levels.extent.view(*each[1:], 2)  # (L, P, 2)
            where = centres + offsets / pixels
        else:  # the last point of an offset of 1 lies on the box's border
            halves = places[:, :, None, :, None, 2:] / 2
            where = centres + offsets / self.points * halves
        if torch.is_grad_enabled():
            summed = sampled_sum(self._values(memory, padded), levels.sizes, where, weights)
        elif query.shape[1] * self.heads > memory.shape[1]:
            summed = gathered_sum(self._values(memory, padded), levels, where, weights)
        else:
            summed = self._sum_of_few(memory, padded, levels, where, weights)
        gathered: Tensor = self.output_proj(summed)
        return gathered

    def _values(self, memory: Tensor, padded: Tensor | None) -> Tensor:
        """Return what is sampled, (B, S, heads, C)."""
        value: Tensor = self.value_proj(memory)
        if padded is not None:
            value = value.masked_fill(padded[..., None], 0)
        # (B, S, width) → (B, S, heads, C)
        return value.view(*value.shape[:2], self.heads, -1)

    def _sum_of_few(
        self,
        memory: Tensor,
        padded: Tensor | None,
        levels: Levels,
        where: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """Return sums of samples of the values, where the samples are fewer than the values.

        Values are linear in the memory, so it is sampled itself, and the sums become values.
        """
        there = memory.new_ones(*memory.shape[:2], 1)
        if padded is not None:
            memory, there = (it.masked_fill(padded[..., None], 0) for it in (memory, there))
        # (B, Q, heads, L, P, …) → (B, Q·heads, 1, L, P, …)
        where, weights = (it.flatten(1, 2)[:, :, None] for it in (where, weights))
        # (B, Q·heads, width), and how much of the weights lies within the image
        summed, inside = (
            gathered_sum(it[:, :, None], levels, where, weights) for it in (memory, there)
        )
        by_head = self.value_proj.weight.view(self.heads, -1, memory.shape[-1])
        bias = self.value_proj.bias.view(self.heads, -1)  # (heads, C)
        summed, inside = (
            it.view(len(memory), -1, self.heads, it.shape[-1]) for it in (summed, inside)
        )
        # (B, Q, heads, C) → (B, Q, width)
        return (torch.einsum('bqhw,hcw->bqhc', summed, by_head) + bias * inside).flatten(2)


# --- Encoder ---


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, each added and then normalised."""

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        width = settings.width
        self.self_attn = DeformableAttention(
            width, settings.heads, settings.levels, settings.points
        )
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, settings.hidden)
        self.linear2 = nn.Linear(settings.hidden, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        places: Tensor,
        levels: Levels,
        padded: Tensor | None,
    ) -> Tensor:
        """Return new tokens (B, S, width)."""
        gathered = self.self_attn(tokens + position, places, tokens, levels, padded)
        tokens = self.norm1(tokens + gathered)
        renewed: Tensor = self.norm2(
            tokens + self.linear2(functional.relu(self.linear1(tokens), inplace=True))
        )
        return renewed


class Encoder(nn.Module):
    """Lets the pixels of all levels look at each other."""

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        levels: Levels,
        shares: Tensor,
        padded: Tensor | None,
    ) -> Tensor:
        """Return new tokens (B, S, width); shares (B, L, 2) say which part of a level is image."""
        centres = [pixel_centres(size, shares[:, i]) for i, size in enumerate(levels.sizes)]
        # (B, S, 2) → (B, S, L, 2): the same place of the image on each level
        places = torch.cat(centres, 1)[:, :, None] * shares[:, None]
        for layer in self.layers:
            tokens = layer(tokens, position, places, levels, padded)
        return tokens


# --- Decoder ---


class DecoderLayer(nn.Module):
    """Attention of the queries to each other, to the image and to depth; then feed-forward."""

    def __init__(self, settings: DetectorSettings, spatial: SpatialSettings) -> None:
        super().__init__()
        width, heads = settings.width, settings.heads
        self.cross_attn = DeformableAttention(width, heads, settings.levels, settings.points)
        self.norm1 = nn.LayerNorm(width)
        if spatial.order != 'self-vision':
            self.cross_attn_depth = Attention(width, heads)
            self.norm_depth = nn.LayerNorm(width)
            if spatial.start_at_zero:
                nn.init.zeros_(self.cross_attn_depth.out_proj.weight)
        self.self_attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, settings.hidden)
        self.linear2 = nn.Linear(settings.hidden, width)
        self.norm3 = nn.LayerNorm(width)
        self.order = spatial.order.split('-')
        self.normalise_before = spatial.start_at_zero

    def forward(
        self,
        content: Tensor,
        position: Tensor,
        places: Tensor,
        image: EncodedImage,
        depth: Depth | None,
    ) -> Tensor:
        """Return new contents (B, Q, width); places are (B, Q, L, 2 or 4) on each level."""
        for step in self.order:
            if step == 'self':
                content = self._to_each_other(content, position)
            elif step == 'vision':
                gathered = self.cross_attn(
                    content + position, places, image.memory, image.levels, image.padded
                )
                content = self.norm1(content + gathered)
            elif depth is not None:
                content = self._to_depth(content, depth)
        renewed: Tensor = self.norm3(
            content + self.linear2(functional.relu(self.linear1(content), inplace=True))
        )
        return renewed

    def _to_each_other(self, content: Tensor, position: Tensor) -> Tensor:
        placed = content + position
        renewed: Tensor = self.norm2(content + self.self_attn(placed, placed, content))
        return renewed

    def _to_depth(self, content: Tensor, depth: Depth) -> Tensor:
        mask = None if depth.padded is None else ~depth.padded[:, None, None]  # (B, 1, 1, N)
        query = self.norm_depth(content) if self.normalise_before else content
        gathered = self.cross_attn_depth(query, depth.tokens, depth.tokens, mask)
        content = content + gathered
        return content if self.normalise_before else self.norm_depth(content)


class EncodedImage(NamedTuple):
    """What the encoder made of B images."""

    memory: Tensor
    """(B, S, width): the tokens of all levels."""
    levels: Levels
    """How they lie there."""
    shares: Tensor
    """float32 (B, L, 2): which part of a level is image, along x and y."""
    padded: Tensor | None
    """bool (B, S)."""


class Decoder(nn.Module):
    """Turns queries into objects; after each layer their boxes are moved to where they look."""

    def __init__(
        self, settings: DetectorSettings, spatial: SpatialSettings, box_heads: nn.ModuleList
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(settings, spatial) for _ in range(settings.decoder_layers)
        )
        self.bbox_embed = box_heads

    def forward(
        self,
        content: Tensor,
        position: Tensor,
        places: Tensor,
        image: EncodedImage,
        depth: Depth | None,
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            content: (B, Q, width), what the queries start with.
            position: (B, Q, width), which goes to queries and keys alone.
            places: float32 (B, Q, 2), where they look first.
            image: What they look at.
            depth: Depth tokens.

        Returns:
            Contents (layers, B, Q, width) and boxes float32 (layers, B, Q, 4) after each layer.
        """
        contents, boxes = [], []
        for layer, head in zip(self.layers, self.bbox_embed, strict=True):
            shares = image.shares.tile(places.shape[-1] // 2)[:, None]  # (B, 1, L, 2 or 4)
            content = layer(content, position, places[:, :, None] * shares, image, depth)
            moved = head(content).float()
            # the size is not known at first
            known = functional.pad(logit(places), (0, 4 - places.shape[-1]))
            box = (moved + known).sigmoid()
            contents.append(content)
            boxes.append(box)
            places = box.detach()
        return torch.stack(contents), torch.stack(boxes)


def logit(share: Tensor) -> Tensor:
    """Return the inverse of the sigmoid, of shares no nearer to 0 and 1 than 1e-5."""
    share = share.clamp(0, 1)
    return torch.log(share.clamp(min=1e-5) / (1 - share).clamp(min=1e-5))


class Transformer(nn.Module):
    """Encoder and decoder."""

    def __init__(
        self, settings: DetectorSettings, spatial: SpatialSettings, box_heads: nn.ModuleList
    ) -> None:
        super().__init__()
        self.points = settings.points
        self.level_embed = nn.Parameter(torch.randn(settings.levels, settings.width))
        self.encoder = Encoder(settings)
        self.decoder = Decoder(settings, spatial, box_heads)
        self.reference_points = nn.Linear(settings.width, 2)
        nn.init.xavier_uniform_(self.reference_points.weight)
        nn.init.zeros_(self.reference_points.bias)

    def forward(
        self,
        maps: list[Tensor],
        positions: list[Tensor],
        padded: list[Tensor] | None,
        queries: Tensor,
        depth: Depth | None,
    ) -> tuple[Tensor, Tensor]:
        """Return contents (layers, B, Q, width) and boxes (layers, B, Q, 4), as `Decoder` does.

        Args:
            maps: L feature maps, (B, width, h, w).
            positions: Their position codes, of the same shapes.
            padded: bool (B, h, w) each.
            queries: (Q, 2·width): positions, then contents.
            depth: Depth tokens.
        """
        image = self._encode(maps, positions, padded)
        # (Q, 2·width) → (Q, width) twice → (B, Q, width) twice
        position, content = queries.expand(len(maps[0]), -1, -1).chunk(2, dim=-1)
        places = self.reference_points(position).float().sigmoid()
        decoded: tuple[Tensor, Tensor] = self.decoder(content, position, places, image, depth)
        return decoded

    def _encode(
        self, maps: list[Tensor], positions: list[Tensor], padded: list[Tensor] | None
    ) -> EncodedImage:
        levels = levels_of([_size(level) for level in maps], self.points, maps[0].device)
        # (B, width, h, w) each → (B, width, S) → (B, S, width)
        tokens = torch.cat([level.flatten(2) for level in maps], 2).transpose(1, 2)
        places = [
            code + own[:, None, None]
            for code, own in zip(positions, self.level_embed, strict=True)
        ]
        position = torch.cat([code.flatten(2) for code in places], 2).transpose(1, 2)
        if padded is None:
            flat, shares = None, tokens.new_ones(len(tokens), len(maps), 2, dtype=torch.float32)
        else:
            flat = torch.cat([level.flatten(1) for level in padded], 1)  # (B, S)
            shares = torch.stack([valid_share(level) for level in padded], 1)
        memory = self.encoder(tokens, position, levels, shares, flat)
        return EncodedImage(memory, levels, shares, flat)


# --- The whole ---


class BoxHead(nn.Module):
    """Three linear layers from a query to the movement of its box: at first to its size alone."""

    def __init__(self, width: int, size: float) -> None:
        super().__init__()
        last = nn.Linear(width, 4)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, 0.0, size, size]))
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), last])

    def forward(self, content: Tensor) -> Tensor:
        """Return (…, 4) of (…, width), to be added before the sigmoid."""
        first, second, last = self.layers
        moved: Tensor = last(functional.relu(second(functional.relu(first(content)))))
        return moved


class DeformableDetr(nn.Module):
    """Images → objects, with boxes, scores and embeddings.

    Args:
        settings: Of the detector.
        spatial: Of the Spatial Adapter.
    """

    def __init__(self, settings: DetectorSettings, spatial: SpatialSettings) -> None:
        super().__init__()
        width, depths = settings.width, settings.decoder_layers
        self.depth_predictor = (
            None if spatial.order == 'self-vision' else DepthPredictor(width, spatial)
        )
        # small boxes at first: a sigmoid of −2 is 0.12; later layers move them
        box_heads = nn.ModuleList(BoxHead(width, 0.0 if i else -2.0) for i in range(depths))
        self.transformer = Transformer(settings, spatial, box_heads)
        class_heads = [nn.Linear(width, settings.classes) for _ in range(depths)]
        for head in class_heads:
            nn.init.constant_(head.bias, -math.log(99))  # a score of 0.01
        self.class_embed = nn.ModuleList(class_heads)
        self.bbox_embed = box_heads
        self.query_embed = nn.Embedding(settings.queries, 2 * width)
        self.input_proj = _projections(settings)
        self.backbone = nn.Sequential(Backbone(settings.blocks, settings.stem))

    def forward(self, images: Tensor, padded: Tensor | None = None) -> Detections:
        """Detect.

        Args:
            images: (B, 3, H, W), RGB, normalised as for ImageNet; zeros where there is no image.
            padded: bool (B, H, W); None: all is image, which is faster.

        Raises:
            ValueError: The shapes are others.
        """
        _check(images, padded)
        maps = self.feature_maps(images)
        masks = None if padded is None else _masks(maps, padded)
        positions = _positions(maps, masks)
        predictor = self.depth_predictor
        depth = None if predictor is None else predictor(maps, positions, masks)
        contents, boxes = self.transformer(maps, positions, masks, self.query_embed.weight, depth)
        logits = [head(content) for head, content in zip(self.class_embed, contents, strict=True)]
        return Detections(torch.stack(logits), boxes, contents[-1], depth)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of all levels: strides 8, 16, 32 and on, (B, width, h, w)."""
        found = self.backbone(images)
        maps = [project(level) for project, level in zip(self.input_proj, found, strict=False)]
        coarsest = found[-1]
        for project in self.input_proj[len(found) :]:
            coarsest = project(coarsest)
            maps.append(coarsest)
        return maps


def _masks(maps: list[Tensor], padded: Tensor) -> list[Tensor]:
    """Return the mask of every map, bool (B, h, w)."""
    whole = padded[:, None].float()
    return [functional.interpolate(whole, level.shape[-2:])[:, 0] > 0 for level in maps]


def _positions(maps: list[Tensor], masks: list[Tensor] | None) -> list[Tensor]:
    """Return the position code of every map, of its shape."""
    if masks is None:
        codes = [whole_positions(_size(level), level.shape[1], level.device) for level in maps]
    else:
        codes = [
            sine_positions(mask, level.shape[1]) for mask, level in zip(masks, maps, strict=True)
        ]
    return [code.to(level).expand_as(level) for code, level in zip(codes, maps, strict=True)]


def _size(level: Tensor) -> Size:
    return level.shape[-2], level.shape[-1]


def _projections(settings: DetectorSettings) -> nn.ModuleList:
    """Return what brings every level to one width; levels beyond ResNet's halve the last one."""
    width, groups = settings.width, min(GROUPS, settings.width // 8)
    channels = [settings.stem * factor for factor in (8, 16, 32)]
    convolutions = [nn.Conv2d(incoming, width, 1) for incoming in channels]
    incoming = channels[-1]
    for _ in range(settings.levels - len(channels)):
        convolutions.append(nn.Conv2d(incoming, width, 3, 2, padding=1))
        incoming = width
    for convolution in convolutions:
        nn.init.xavier_uniform_(convolution.weight)
    return nn.ModuleList(nn.Sequential(c, nn.GroupNorm(groups, width)) for c in convolutions)


def _check(images: Tensor, padded: Tensor | None) -> None:
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f'images must be (B, 3, H, W), not {tuple(images.shape)}')
    expected = (images.shape[0], *images.shape[2:])
    if padded is not None and (padded.shape != expected or padded.dtype != torch.bool):
        raise ValueError(
            f'padded must be bool {expected}, not {padded.dtype} {tuple(padded.shape)}'
        )

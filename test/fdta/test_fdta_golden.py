"""The published layout: the same keys, the same parameter counts, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mot_perception.fdta.id_decoder import Current, History
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import release

ATOL = 2e-4
ATOL_SEQUENCE = 1e-4
ATOL_DEPTH = 5e-3
SLOPES = {'expected_depth': 1, 'depth_pe': 2, 'depth_tokens_plus_pe': 2}
"""How fast what hangs on the expected depth moves with it."""
SEQUENCES = {
    # seed, (T, N), (U, M), missing in history, missing now, labels
    'seqA': (2, (6, 3), (1, 4), [(0, 1), (1, 1), (3, 2)], [], [4, 0, 37]),
    'seqB': (3, (3, 2), (1, 2), [(1, 0), (1, 1)], [], [49, 7]),
    'seqC': (4, (5, 3), (5, 3), [(0, 0), (2, 1)], [(0, 0), (2, 1)], [11, 3, 20]),
    'seqD': (5, (1, 2), (1, 3), [], [], [1, 2]),
    'seqE': (6, (29, 2), (1, 2), [(row, 1) for row in range(5, 20)], [], [1, 2]),
}


@pytest.fixture(scope='module')
def numbers(golden):
    with np.load(golden / 'fdta' / 'golden.npz') as archive:
        return dict(archive)


@pytest.fixture(scope='module')
def network(fill, device):
    network = Fdta(release()).eval()
    fill.fill_(network, 'fdta')
    return network.to(device)


def parameters(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_keys(golden, network):
    lines = (golden / 'fdta' / 'keys.txt').read_text().splitlines()
    published = [line.split() for line in lines if not line.startswith('#')]
    own = [
        [key, 'x'.join(map(str, tensor.shape)), str(tensor.dtype).removeprefix('torch.')]
        for key, tensor in network.state_dict().items()
    ]
    assert own == published


def test_parameters_per_part(network):
    detr = network.detr
    layers = detr.transformer.decoder.layers
    depth_attention = [m for layer in layers for m in (layer.cross_attn_depth, layer.norm_depth)]
    parts = {
        'backbone': parameters(detr.backbone),
        'depth predictor': parameters(detr.depth_predictor),
        'depth attention': parameters(*depth_attention),
        'temporal adapter': parameters(network.trajectory_embedding),
        'trajectory modelling': parameters(network.trajectory_modeling),
        'ID decoder': parameters(network.id_decoder),
    }
    total = parameters(network)
    parts['rest of the detector'] = total - sum(parts.values())
    assert {part: round(count / 1e6, 2) for part, count in parts.items()} == {
        'backbone': 23.45,
        'depth predictor': 1.81,
        'depth attention': 1.58,
        'temporal adapter': 3.16,
        'trajectory modelling': 0.53,
        'ID decoder': 17.90,
        'rest of the detector': 17.26,
    }
    assert total + len(detr.depth_predictor.depth_bin_values) == 65_700_686


def detector_input(vector):
    height, width = {'det': (320, 576), 'pad': (256, 384)}[vector]
    seed = {'det': 0, 'pad': 1}[vector]
    image = np.random.default_rng(seed).standard_normal((1, 3, height, width))
    image = torch.from_numpy(image.astype(np.float32))
    if vector == 'det':
        return image, None
    padded = torch.zeros(1, height, width, dtype=torch.bool)
    padded[:, 216:] = padded[:, :, 328:] = True
    return image.masked_fill(padded[:, None], 0), padded


class Taps(dict):
    """What passes between the parts of the detector, by the golden numbers' names."""

    def __init__(self, detr):
        super().__init__()
        layers = detr.transformer.decoder.layers
        first = layers[0]
        self._hooks = []
        self._tap('C', detr.backbone)
        for level, projection in enumerate(detr.input_proj):
            self._tap(f'proj{level}', projection)
        for number, layer in enumerate(detr.transformer.encoder.layers):
            self._tap(f'encoder_layer{number}', layer)
        self._tap('memory', detr.transformer.encoder)
        self._tap('decoder0_after_self', first.norm2)
        self._tap('decoder0_after_visual', first.norm1)
        self._tap('decoder0_after_depth', first.norm_depth)
        self._tap('decoder0_after_ffn', first)
        self._tap('reference', detr.transformer.reference_points)
        self._tap('decoder', detr.transformer.decoder)

    def _tap(self, name, module):
        hook = module.register_forward_hook(lambda _, __, out: self.__setitem__(name, out))
        self._hooks.append(hook)

    def finish(self, predictor, found):
        for hook in self._hooks:
            hook.remove()
        self.update(zip(('C3', 'C4', 'C5'), self.pop('C'), strict=True))
        self['init_reference'] = self.pop('reference').sigmoid()
        self['hs'], self['inter_references'] = self.pop('decoder')
        self['pred_logits'], self['pred_boxes'] = found.logits[-1], found.boxes[-1]
        self['aux_logits'], self['aux_boxes'] = found.logits[:-1, :, :8], found.boxes[:-1, :, :8]
        self['outputs'] = found.embeddings
        depth = found.depth
        self['depth_logits'], self['expected_depth'] = depth.logits, depth.expected
        self['depth_pe'] = predictor.position_code(depth.expected).permute(0, 3, 1, 2)
        tokens = depth.tokens.transpose(1, 2)
        self['depth_tokens_plus_pe'] = tokens.unflatten(2, depth.expected.shape[1:])


def compare(vector, taps, numbers, tolerance):
    """Compare slices, and mean, spread and largest value of whole tensors; return the count."""
    compared = 0
    for name, wanted in numbers.items():
        if not name.startswith(f'{vector}.') or name.endswith('.stats'):
            continue
        tap, bracket, cut = name.removeprefix(f'{vector}.').partition('[')
        whole = taps[tap].cpu()
        part = eval(f'whole[{cut}') if bracket else whole  # the names are slices
        atol = tolerance(tap)
        np.testing.assert_allclose(part.numpy(), wanted, atol=atol, rtol=0, err_msg=name)
        stats = [whole.mean(), whole.std(), whole.abs().max()]
        np.testing.assert_allclose(stats, numbers[f'{name}.stats'], atol=atol, rtol=1e-5)
        compared += 1
    return compared


@pytest.mark.parametrize(('vector', 'entries'), [('det', 30), ('pad', 29)])
def test_detector(network, numbers, device, vector, entries):
    image, padded = detector_input(vector)
    taps = Taps(network.detr)
    with torch.inference_mode():
        found = network(image.to(device), None if padded is None else padded.to(device))
        taps.finish(network.detr.depth_predictor, found)

    def tolerance(tap):
        return ATOL_DEPTH * SLOPES[tap] if tap in SLOPES else ATOL

    assert compare(vector, taps, numbers, tolerance) == entries


def test_depth_position_code(network, numbers, device):
    """Apart from what the depth's own error moves, the code is exact."""
    depth = torch.from_numpy(numbers['det.expected_depth[0]']).to(device)
    with torch.inference_mode():
        code = network.detr.depth_predictor.position_code(depth)[::8, ::8, :16].cpu()
    wanted = numbers['det.depth_pe[0,:16,::8,::8]']
    np.testing.assert_allclose(code.permute(2, 0, 1), wanted, atol=1e-5, rtol=0)


def missing(shape, where):
    mask = torch.zeros(1, 1, *shape, dtype=torch.bool)
    for row, column in where:
        mask[0, 0, row, column] = True
    return mask


@pytest.mark.parametrize('vector', SEQUENCES)
def test_sequence(network, numbers, device, vector):
    seed, shape, shape_now, gaps, gaps_now, labels = SEQUENCES[vector]
    noise = np.random.default_rng(seed)
    features, features_now = (
        torch.from_numpy(noise.standard_normal((1, 1, *s, 256)).astype(np.float32)).to(device)
        for s in (shape, shape_now)
    )
    rows, rows_now = shape[0], shape_now[0]
    times_now = [rows] if rows_now == 1 else range(rows_now)
    history = History(
        features,
        torch.tensor(labels, device=device).expand(1, 1, *shape),
        missing(shape, gaps).to(device),
        torch.arange(rows, device=device)[None],
    )
    current = Current(
        features_now,
        missing(shape_now, gaps_now).to(device),
        torch.tensor([[*times_now]], device=device),
    )
    with torch.inference_mode():
        enriched = network.trajectory_embedding(history.features, history.missing)
        taps = {
            'ta_out': enriched,
            'traj_modeling_out': network.trajectory_modeling(enriched),
            'id_logits': network.identify(history, current),
            'id_logits_raw_history': network.id_decoder(history, current),
        }
    assert compare(vector, taps, numbers, lambda _: ATOL_SEQUENCE) == 4

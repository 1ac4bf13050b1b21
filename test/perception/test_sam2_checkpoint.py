"""SAM 2 out of files: Meta's names, those of transformers, and what is refused."""

from __future__ import annotations

import json
import re

import golden
import numpy as np
import pytest
import tiny_sam2

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')
checkpoint = pytest.importorskip('mot_perception.perception.sam2_checkpoint')

WIDTHS = {'tiny': 96, 'small': 96, 'base_plus': 112, 'large': 144}
STAGES = {
    'tiny': (1, 2, 7, 2),
    'small': (1, 2, 11, 2),
    'base_plus': (2, 3, 16, 3),
    'large': (2, 6, 36, 4),
}
BACKGROUND = {'tiny': 7, 'small': 7, 'base_plus': 14, 'large': 7}


def refused(model) -> str:
    with pytest.raises(UserError) as caught:
        checkpoint.load_sam2(str(model))
    message = str(caught.value)
    assert '\n' not in message
    assert len(message) < 2000
    return message


def published(size: str, version: str) -> dict:
    """Return the shapes of a published network by Meta's names.

    Those of the tiny 2.1 are recorded; others differ in the image encoder, which is derived here
    from its description, and in three weights.
    """
    file = golden.FOLDER / 'sam2' / 'keys.txt'
    if not file.is_file():
        pytest.skip(f'lists of keys are not there: {file}')
    lines = [line.split() for line in file.read_text().splitlines() if not line.startswith('#')]
    recorded = {key: tuple(map(int, shape.split('x'))) for key, shape, _ in lines}
    shapes = {key: it for key, it in recorded.items() if '.trunk.' not in key}
    widths = [WIDTHS[size] * 2**stage for stage in range(4)]
    for level, width in enumerate(reversed(widths)):
        shapes[f'image_encoder.neck.convs.{level}.conv.weight'] = 256, width, 1, 1
    shapes |= trunk(widths, STAGES[size], BACKGROUND[size])
    if (size, version) == ('tiny', '2.1'):
        assert shapes == recorded
    if version == '2.0':
        new = 'no_obj_embed_spatial', 'obj_ptr_tpos_proj.weight', 'obj_ptr_tpos_proj.bias'
        for key in new:
            del shapes[key]
    return shapes


def trunk(widths: list[int], stages: tuple[int, ...], background: int) -> dict:
    """Return the shapes of Hiera: its blocks grow wider in the first of each stage."""
    first = widths[0]
    shapes = {
        'pos_embed': (1, first, background, background),
        'pos_embed_window': (1, first, 8, 8),
        'patch_embed.proj.weight': (first, 3, 7, 7),
        'patch_embed.proj.bias': (first,),
    }
    block, before = 0, first
    for width, count in zip(widths, stages, strict=True):
        for _ in range(count):
            layers = {
                'attn.qkv': (3 * width, before),
                'attn.proj': (width, width),
                'mlp.layers.0': (4 * width, width),
                'mlp.layers.1': (width, 4 * width),
            }
            if before != width:
                layers['proj'] = width, before
            for name, shape in layers.items():
                shapes[f'blocks.{block}.{name}.weight'] = shape
                shapes[f'blocks.{block}.{name}.bias'] = shape[:1]
            for name, channels in (('norm1', before), ('norm2', width)):
                shapes[f'blocks.{block}.{name}.weight'] = (channels,)
                shapes[f'blocks.{block}.{name}.bias'] = (channels,)
            block, before = block + 1, width
    return {f'image_encoder.trunk.{name}': shape for name, shape in shapes.items()}


class TestMeta:
    def test_names_are_as_recorded(self):
        weights = golden.weights('sam2')
        lines = (golden.FOLDER / 'sam2' / 'keymap.txt').read_text().splitlines()
        pairs = [line.split() for line in lines if line.strip() and not line.startswith('#')]
        mapped = {theirs: re.sub(r'\[.*', '', ours) for theirs, _, ours, *_ in pairs}
        assert mapped.keys() == weights.keys()
        converted = checkpoint.from_meta(weights, golden.FOLDER)
        for theirs, ours in mapped.items():
            assert ours in converted or 'shared_image_embedding' in ours, theirs
        listed = (golden.FOLDER / 'sam2' / 'keys_transformers.txt').read_text().splitlines()
        expected = {line.split()[0] for line in listed if not line.startswith('#')}
        assert expected - converted.keys() == {'shared_image_embedding.positional_embedding'}
        assert converted.keys() <= expected

    @pytest.mark.parametrize('version', ['2.0', '2.1'])
    @pytest.mark.parametrize('size', list(STAGES))
    def test_every_published_network_is_recognised(self, size, version, monkeypatch):
        shapes = published(size, version)
        with torch.device('meta'):
            weights = {key: torch.empty(shape) for key, shape in shapes.items()}
        monkeypatch.setattr(checkpoint, 'read_weights', lambda _: weights)
        monkeypatch.setattr(checkpoint, '_filled', lambda *given: given)
        (config, converted, *_), name = checkpoint._load_metas(golden.FOLDER)
        assert name == f'SAM {version} {size}'
        with torch.device('meta'):
            own = transformers.Sam2VideoModel(config).state_dict()
        converted['shared_image_embedding.positional_embedding'] = converted[
            'prompt_encoder.shared_embedding.positional_embedding'
        ]
        assert {key: it.shape for key, it in converted.items()} == {
            key: it.shape for key, it in own.items()
        }

    @pytest.mark.parametrize(
        ('size', 'millions'),
        [('tiny', 38.9), ('small', 46), ('base_plus', 80.8), ('large', 224.4)],
    )
    def test_sizes_are_as_published(self, size, millions):
        """By the table in Meta's description of SAM 2.1."""
        with torch.device('meta'):
            network = transformers.Sam2VideoModel(checkpoint.published_config(size, '2.1'))
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count / 1e6 == pytest.approx(millions, abs=0.1)
        blocks = len(network.vision_encoder.backbone.blocks)
        assert blocks == checkpoint.BLOCKS[size]

    def test_points_become_rows(self):
        rows = [torch.full((1, 4), float(row)) for row in range(4)]
        weights = {
            f'sam_prompt_encoder.point_embeddings.{row}.weight': rows[row] for row in (2, 0, 3, 1)
        }
        converted = checkpoint.from_meta(weights, golden.FOLDER)
        table = converted.pop('prompt_encoder.point_embed.weight')
        assert not converted
        np.testing.assert_array_equal(table[:, 0], [0, 1, 2, 3])

    def test_downsampler(self):
        begin = 'memory_encoder.mask_downsampler.'
        names = [f'{begin}encoder.{number}.weight' for number in (0, 1, 3, 4, 9, 10, 12)]
        converted = checkpoint.from_meta({name: torch.ones(1) for name in names}, golden.FOLDER)
        assert list(converted) == [
            f'{begin}{name}.weight'
            for name in (
                'layers.0.conv',
                'layers.0.layer_norm',
                'layers.1.conv',
                'layers.1.layer_norm',
                'layers.3.conv',
                'layers.3.layer_norm',
                'final_conv',
            )
        ]


def some_of_metas() -> dict:
    """The beginning of a file with Meta's names."""
    return {
        'image_encoder.trunk.pos_embed': torch.zeros(1, 96, 7, 7),
        'image_encoder.trunk.blocks.0.norm1.weight': torch.zeros(96),
        'image_encoder.trunk.blocks.11.norm1.weight': torch.zeros(768),
        'no_obj_embed_spatial': torch.zeros(1, 64),
    }


class TestMetasFileIsRefused:
    def test_missing_keys(self, tmp_path):
        file = tmp_path / 'sam2.pt'
        torch.save({'model': some_of_metas()}, file)
        message = refused(file)
        assert 'SAM 2.1 tiny' in message
        assert '465 missing (' in message
        listed = re.search(r'missing \((.*?), …\)', message)
        assert len(listed[1].split(', ')) == 10

    def test_version_2_0(self, tmp_path):
        weights = some_of_metas()
        del weights['no_obj_embed_spatial']
        file = tmp_path / 'sam2.pt'
        torch.save({'model': weights}, file)
        assert 'SAM 2.0 tiny' in refused(file)

    @pytest.mark.parametrize(('last', 'size'), [(12, 'small'), (15, 'small'), (16, 'base_plus')])
    def test_size_follows_from_blocks(self, last, size, tmp_path):
        weights = {f'image_encoder.trunk.blocks.{last}.norm1.weight': torch.zeros(1)}
        file = tmp_path / 'sam2.pt'
        torch.save(weights, file)
        message = refused(file)
        assert size in message
        assert 'of another shape' in message

    def test_unexpected_keys(self, tmp_path):
        weights = some_of_metas() | {'image_encoder.trunk.blocks.0.gate.weight': torch.zeros(1)}
        file = tmp_path / 'sam2.pt'
        torch.save({'model': weights}, file)
        assert '1 unexpected (vision_encoder.backbone.blocks.0.gate.weight)' in refused(file)

    @pytest.mark.parametrize(
        'weights',
        [
            {'backbone.conv1.weight': torch.zeros(1)},
            {'image_encoder.trunk.body.stages_0.blocks.0.weight': torch.zeros(1)},
            {'image_encoder.trunk.blocks.48.norm1.weight': torch.zeros(1)},
            {'image_encoder.trunk.blocks.99999999999.norm1.weight': torch.zeros(1)},
        ],
    )
    def test_other_networks(self, weights, tmp_path):
        file = tmp_path / 'other.pt'
        torch.save({'model': weights}, file)
        assert 'no weights of SAM 2' in refused(file)

    def test_one_weight_by_two_names(self, tmp_path):
        weights = some_of_metas() | {'vision_encoder.backbone.pos_embed': torch.ones(1)}
        file = tmp_path / 'sam2.pt'
        torch.save({'model': weights}, file)
        assert 'twice' in refused(file)

    @pytest.mark.parametrize('share', [0.1, 0.5, 0.99])
    def test_truncated(self, share, tmp_path):
        file = tmp_path / 'sam2.pt'
        torch.save({'model': some_of_metas()}, file)
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        refused(file)

    def test_code_is_never_run(self, tmp_path):
        mark = tmp_path / 'mark'

        class Hostile:
            def __reduce__(self):
                return mark.touch, ()

        file = tmp_path / 'sam2.pt'
        torch.save({'model': some_of_metas(), 'more': Hostile()}, file)
        assert 'more than tensors' in refused(file)
        assert not mark.exists()

    @pytest.mark.parametrize('name', ['sam2.pt', 'weights/sam2.pth', 'a/sam2.safetensors'])
    def test_not_there(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr('huggingface_hub.snapshot_download', None)
        assert 'cannot be read' in refused(name)


@pytest.fixture(scope='module')
def original():
    return tiny_sam2.network()


@pytest.fixture
def folder(original, tmp_path):
    return tiny_sam2.saved(tmp_path / 'tiny', original)


def change(folder, **settings):
    file = folder / 'config.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def change_weights(folder, alter):
    from safetensors.torch import load_file, save_file

    file = folder / 'model.safetensors'
    weights = load_file(file)
    alter(weights)
    save_file(weights, file)


class TestFolder:
    def test_it_is_what_was_saved(self, folder, original):
        network, name = checkpoint.load_sam2(str(folder))
        assert name.startswith('tiny (sha256 ')
        assert not network.training
        expected = original.state_dict()
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, expected[key], rtol=0, atol=0)

    @pytest.mark.parametrize('left_out', [checkpoint._MATRIX, checkpoint._SAME_MATRIX])
    def test_the_matrix_of_positions_may_be_there_once(self, left_out, folder, original):
        change_weights(folder, lambda weights: weights.pop(left_out))
        network, _ = checkpoint.load_sam2(str(folder))
        torch.testing.assert_close(
            network.state_dict()[left_out], original.state_dict()[left_out], rtol=0, atol=0
        )

    def test_without_connection(self, folder, monkeypatch):
        monkeypatch.setattr('huggingface_hub.snapshot_download', None)
        checkpoint.load_sam2(str(folder))

    def test_from_the_hub(self, folder, monkeypatch):
        asked = []

        def snapshot(name, *, allow_patterns, local_files_only=False):
            asked.append((name, allow_patterns, local_files_only))
            return str(folder)

        monkeypatch.setattr('huggingface_hub.snapshot_download', snapshot)
        _, name = checkpoint.load_sam2('facebook/sam2.1-hiera-tiny')
        assert name.startswith('sam2.1-hiera-tiny (sha256 ')
        assert all('preprocessor_config.json' not in patterns for _, patterns, _ in asked)

    def test_offline(self, monkeypatch):
        def snapshot(*_, **__):
            raise FileNotFoundError('offline')

        monkeypatch.setattr('huggingface_hub.snapshot_download', snapshot)
        assert 'cannot be copied from the hub' in refused('facebook/sam2.1-hiera-tiny')

    def test_missing_unexpected_reshaped(self, folder):
        def alter(weights):
            del weights['no_object_pointer']
            weights['more'] = torch.zeros(1)
            weights['no_memory_embedding'] = torch.zeros(3)

        change_weights(folder, alter)
        message = refused(folder)
        assert '1 missing (no_object_pointer)' in message
        assert '1 unexpected (more)' in message
        assert '1 of another shape (no_memory_embedding 3 instead of 1×1×128)' in message

    def test_not_finite(self, folder):
        change_weights(folder, lambda weights: weights['no_object_pointer'].fill_(np.nan))
        assert 'NaN' in refused(folder)

    @pytest.mark.parametrize('content', [None, b'', b'\xff' * 500])
    @pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
    def test_file_is_missing_or_damaged(self, name, content, folder):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        assert name in refused(folder)

    @pytest.mark.parametrize('name', ['sam2', 'edgetam_video', 'resnet', None, 5])
    def test_other_networks(self, name, folder):
        change(folder, model_type=name)
        assert 'no network for masks in videos' in refused(folder)

    def test_other_image_encoder(self, folder):
        change(folder, vision_config={'model_type': 'vit'})
        assert 'image encoder' in refused(folder)

    @pytest.mark.parametrize('number', [1e9, 10**30, -(10**9)])
    def test_monstrous_sizes(self, number, folder):
        change(folder, memory_attention_num_layers=number)
        assert 'size beyond' in refused(folder)

    @pytest.mark.parametrize('number', [float('nan'), float('inf')])
    def test_numbers_that_are_none(self, number, folder):
        change(folder, initializer_range=number)
        assert 'size beyond' in refused(folder)

    @pytest.mark.parametrize(
        'settings',
        [
            {'image_size': 128},
            {'image_size': [64, 64]},
            {'image_size': '64'},
            {'image_size': 0},
            {'memory_attention_hidden_size': -128},
            {'memory_attention_hidden_size': 'wide'},
            {'memory_attention_num_attention_heads': 0},
            {'memory_attention_feed_forward_hidden_act': 'explode'},
            {'rope_parameters': {'rope_type': 'none'}},
            {'vision_config': []},
            {'mask_decoder_config': 3},
        ],
    )
    def test_settings_of_no_network(self, settings, folder):
        change(folder, **settings)
        refused(folder)

    @pytest.mark.parametrize('name', ['memory_attention_num_layers', 'memory_fuser_num_layers'])
    def test_more_layers_than_weights(self, name, folder):
        change(folder, **{name: 65_000})
        assert 'more layers' in refused(folder)

    def test_large_but_empty(self, folder):
        """Sizes are compared before memory is taken for them."""
        change(folder, memory_attention_feed_forward_hidden_size=65_000, num_maskmem=65_000)
        assert 'of another shape' in refused(folder)

    def test_code_is_not_fetched(self, folder):
        change(folder, attn_implementation='someone/kernel', auto_map={'AutoConfig': 'a.B'})
        network, _ = checkpoint.load_sam2(str(folder))
        assert network.config._attn_implementation == 'sdpa'

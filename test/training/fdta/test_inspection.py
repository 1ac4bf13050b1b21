"""What `inspect` shows is what the network computes, and the pictures hold what they say."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mot_perception.cli.main import main
from mot_perception.errors import UserError
from mot_perception.fdta.attention import KEY, QUERY, Attention
from mot_perception.fdta.checkpoint import save_network
from mot_perception.fdta.images import normalised
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import improved, release
from mot_perception.fdta.settings import tiny as made_tiny
from mot_perception.training.fdta import inspection as module
from mot_perception.training.fdta.attention_weights import attention_weights
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.inspection import Found, Inspection, Past, inspect_footage
from mot_perception.training.fdta.inspection_figures import (
    attention_figure,
    depth_figure,
    past_figure,
    runs,
    similarity_figure,
    write_figure,
)
from mot_perception.training.fdta.inspection_report import numbers, write_inspection
from mot_perception.training.fdta.scene_footage import staged_footages
from mot_perception.training.fdta.similarity import cosines, pairs

RANDOM = np.random.default_rng(0)
FRAMES = 8


def network_of(settings, device='cpu'):
    torch.manual_seed(0)
    network = Fdta(settings).eval().to(device)
    with torch.no_grad():  # at first nobody looks at depth
        for layer in network.detr.transformer.decoder.layers:
            if hasattr(layer, 'cross_attn_depth'):
                layer.cross_attn_depth.out_proj.weight.normal_()
    return network


def small(settings):
    return made_tiny(settings).model_copy(update={'shorter': 72, 'longer': 128, 'window': 6})


def footage(orientation='depth', frames=FRAMES):
    (made,) = staged_footages(
        range(1), size=(128, 72), orientation=orientation, held_out=True, frames=frames
    )
    return made


@pytest.fixture
def lenient(monkeypatch):
    """Let any query find any object, as networks without training find nothing else."""
    monkeypatch.setattr(module, 'LEAST_OVERLAP', 0.0)


@pytest.fixture(scope='module')
def inspection():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'LEAST_OVERLAP', 0.0)
        return inspect_footage(
            network_of(small(improved())), footage(), frames=FRAMES, pictures=2, least_score=0
        )


class TestWeights:
    @pytest.mark.parametrize('masked', ['no', 'by flags', 'by numbers'])
    def test_by_hand(self, masked, device):
        torch.manual_seed(0)
        attention = Attention(12, 3).to(device)
        tokens, others = torch.randn(2, 4, 12, device=device), torch.randn(2, 5, 12, device=device)
        mask = {
            'no': None,
            'by flags': torch.tensor([True, False, True, True, True], device=device).expand(
                2, 1, 4, 5
            ),
            'by numbers': torch.randn(2, 3, 4, 5, device=device),
        }[masked]
        with torch.no_grad():
            expected = attention(tokens, others, others, mask)
            with attention_weights([attention]) as noted:
                same = attention(tokens, others, others, mask)
            query, key = attention.project(tokens, QUERY), attention.project(others, KEY)
        assert torch.equal(same, expected)
        ((weights,),) = noted
        for batch in range(2):
            for row in range(4):
                by_hand = torch.zeros(5)
                for head in range(3):
                    logits = (key[batch, head] @ query[batch, head, row]).cpu() / 4**0.5
                    if masked == 'by flags':
                        logits[1] = -torch.inf
                    elif masked == 'by numbers':
                        logits = logits + mask[batch, head, row].cpu()
                    by_hand += torch.exp(logits) / torch.exp(logits).sum() / 3
                torch.testing.assert_close(weights[batch, row], by_hand, atol=1e-5, rtol=1e-4)

    def test_nothing_stays_behind(self):
        attention = Attention(8, 2)
        before = dict(vars(attention))
        with pytest.raises(KeyError), attention_weights([attention]):
            raise KeyError
        assert vars(attention).keys() == before.keys()
        assert attention.attend.__func__ is Attention.attend


class TestSimilarity:
    def test_pairs_by_hand(self):
        frames = [
            (np.array([4, 7]), np.float32([[1, 0], [1, 1]])),
            (np.array([7]), np.float32([[0, 2]])),
            (np.array([], np.int64), np.zeros((0, 2), np.float32)),
            (np.array([9, 4]), np.float32([[3, 0], [-1, 0]])),
        ]
        found = pairs(frames)
        np.testing.assert_allclose(found.different, [0.5**0.5, -1], rtol=1e-6)
        np.testing.assert_allclose(found.same, [0.5**0.5, -1], rtol=1e-6)
        assert found.alike() == 0

    def test_share_of_those_alike(self):
        embeddings = np.float32([[1, 0], [1, 0.1], [0, 1]])
        assert pairs([(np.arange(3), embeddings)]).alike() == pytest.approx(1 / 3)
        assert np.isnan(pairs([]).alike())

    def test_embeddings_of_length_0(self):
        assert cosines(np.zeros((2, 3), np.float32)).tolist() == [[0, 0], [0, 0]]


class TestInspection:
    def test_found_are_what_the_network_says(self, inspection):
        network, view = network_of(small(improved())), footage().view(3)
        rgb = torch.from_numpy(view.image[:, :, ::-1].copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            said = network(normalised(rgb))
        found = inspection.found[3]
        assert found.frame == 3
        assert set(found.ids) == set(view.ids)
        assert found.objects == len(view.ids)
        assert len(set(found.query)) == len(found.query)
        np.testing.assert_allclose(
            found.embeddings, said.embeddings[0, found.query].numpy(), atol=1e-5
        )
        centre = said.boxes[-1, 0, found.query, :2].numpy() * [128, 72]
        np.testing.assert_allclose((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2, centre, atol=1e-3)

    def test_who_is_found_fits(self):
        truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]], float)
        boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [21, 0, 31, 10], [0, 50, 9, 60]], float)
        score = np.array([0.9, 0.5, 0.4, 0.9])
        rows, queries = module._matched(truth, boxes, score, 0.3)
        assert dict(zip(rows.tolist(), queries.tolist(), strict=True)) == {0: 0, 1: 2}
        rows, _ = module._matched(truth, boxes, score, 0.4)  # above, not at
        assert rows.tolist() == [0]

    def test_depth_is_what_the_network_says(self, inspection):
        assert [it.found.frame for it in inspection.looks] == [
            max(inspection.found[a : a + 4], key=lambda it: len(it.ids)).frame for a in (0, 4)
        ]
        for look in inspection.looks:
            assert look.expected.shape == (9, 16)
            assert look.view.depth.shape == (72, 128)
            assert len(look.shown) == min(module.MOST_QUERIES, len(look.found.ids))
            assert (np.diff(look.found.score[look.shown]) <= 0).all()
            assert look.attention.shape == (len(look.shown), 5, 8)
            np.testing.assert_allclose(look.attention.mean((1, 2)), 1, rtol=1e-4)
            assert look.attention.std() > 0.01

    @pytest.mark.parametrize('stride', [8, 16, 32])
    @pytest.mark.parametrize('size', [(72, 128), (70, 100), (33, 95)])
    def test_tokens_lie_as_on_their_feature_map(self, stride, size):
        settings = small(improved())
        spatial = settings.spatial.model_copy(update={'token_stride': stride})
        network = network_of(settings.model_copy(update={'spatial': spatial}))
        image = torch.zeros(1, 3, *size)
        with torch.inference_mode():
            said = network(image)
            level = network.detr.feature_maps(image)[{8: 0, 16: 1, 32: 2}[stride]]
        grid = module._token_grid(said.depth.expected[0].shape, stride)
        assert grid == tuple(level.shape[-2:])

    @pytest.mark.parametrize('settings', [release(), improved()], ids=['release', 'improved'])
    def test_past_is_causal_and_leaves_gaps_out(self, settings, lenient):
        network = network_of(small(settings))
        seen = inspect_footage(network, footage(), frames=FRAMES, pictures=1, least_score=0)
        assert seen.pasts
        for past in seen.pasts:
            assert past.first == FRAMES - 6
            assert past.weights.shape == (6, 6)
            np.testing.assert_allclose(past.weights.sum(1), 1, rtol=1e-5)
            assert (past.weights[np.triu_indices(6, 1)] == 0).all()
            assert past.missing.any()
            others = ~np.eye(6, dtype=bool)
            assert (past.weights[:, past.missing][others[:, past.missing]] == 0).all()

    def test_hidden_only_where_all_was_seen(self):
        found = [row(t, [5] if t in {2, 3} else [5, 6]) for t in range(6)]
        pasts = module._pasts(network_of(small(improved())), found, 0.05)
        assert [(it.identity, it.hidden) for it in pasts] == [(6, False), (5, True)]
        assert pasts[0].missing.tolist() == [False, False, True, True, False, False]
        assert pasts[1].missing.tolist() == [False, False, True, False, False, False]

    def test_nothing_found(self):
        with pytest.raises(UserError, match=r'scene-.*no object was found in 2 frames'):
            inspect_footage(
                network_of(small(improved())), footage(), frames=2, pictures=1, least_score=0.99
            )

    def test_network_without_adapters(self, lenient, tmp_path):
        settings = small(improved())
        settings = settings.model_copy(
            update={
                'spatial': settings.spatial.model_copy(update={'order': 'self-vision'}),
                'temporal': settings.temporal.model_copy(update={'layers': 0}),
            }
        )
        seen = inspect_footage(
            network_of(settings), footage(), frames=3, pictures=2, least_score=0
        )
        assert (seen.looks, seen.pasts) == ([], [])
        told = write_inspection(tmp_path / 'out', [seen], 'depth', {})
        assert np.isnan(told[seen.name]['depth_error'])
        html = (tmp_path / 'out' / 'index.html').read_text()
        assert 'no Spatial Adapter' in html
        assert 'no Temporal Adapter' in html

    def test_on_a_device(self, device, lenient):
        seen = inspect_footage(
            network_of(small(improved()), device), footage(), frames=2, pictures=1, least_score=0
        )
        assert len(seen.looks) == 1


@pytest.fixture
def unpainted(monkeypatch):
    """Write empty pictures, which takes no time."""
    from mot_perception.training.fdta import inspection_report

    monkeypatch.setattr(inspection_report, 'write_figure', lambda file, _: file.touch())


def row(frame, ids, width=64):
    count = len(ids)
    return Found(
        frame, count, np.array(ids), np.arange(count), np.zeros((count, 4)), np.ones(count),
        RANDOM.normal(size=(count, width)).astype(np.float32),
    )  # fmt: skip


def look(objects=2, *, label=True, shown=None):
    view = View(
        np.zeros((36, 64, 3), np.uint8),
        np.tile([8.0, 4, 24, 30], (objects, 1)),
        np.arange(objects),
        np.zeros(objects, np.int64),
        np.full((36, 64), 100, np.float32) if label else None,
    )
    shown = np.arange(min(objects, 5)) if shown is None else shown
    attention = np.ones((len(shown), 3, 4), np.float32)
    expected = np.full((5, 8), 90, np.float32)
    return module.DepthLook(view, row(0, list(range(objects))), expected, shown, attention)


def titles(figure):
    return [ax.get_title(loc='left') for ax in figure.axes if ax.get_title(loc='left')]


class TestFigures:
    def test_depth(self):
        seen = look()
        seen.view.depth[0, :10] = np.nan
        figure = depth_figure(seen, 'disparity')
        assert titles(figure) == [
            'image and true boxes, frame 1', 'label', 'expected depth',
            'difference, 10.0 on the mean',
        ]  # fmt: skip
        label, expected, error = (ax.images[0].get_array() for ax in figure.axes[1:4])
        assert np.ma.getmaskarray(label).sum() == 10
        assert (expected == 90).all()
        assert error.compressed().tolist() == [10] * (36 * 64 - 10)
        assert '255: nearest' in [ax.get_ylabel() for ax in figure.axes]

    @pytest.mark.parametrize(('objects', 'label'), [(0, True), (1, False), (25, True)])
    def test_few_and_many_objects(self, objects, label, tmp_path):
        seen = look(objects, label=label)
        for figure in (depth_figure(seen, 'depth'), attention_figure(seen)):
            write_figure(tmp_path / 'it.png', figure)
            assert cv2.imread(str(tmp_path / 'it.png')).std() > 5

    def test_label_that_knows_nothing(self, tmp_path):
        seen = look()
        seen.view.depth[:] = np.nan
        write_figure(tmp_path / 'it.png', depth_figure(seen, 'depth'))
        assert np.isnan(numbers(Inspection('x', [seen.found], [seen], []))['depth_error'])

    def test_attention(self):
        seen = look(3, shown=np.array([2, 0]))
        seen.attention[1] = 7
        figure = attention_figure(seen)
        assert titles(figure) == ['image, frame 1', 'object 2, score 1.00', 'object 0, score 1.00']
        panels = [ax.images[1].get_array() for ax in figure.axes if len(ax.images) == 2]
        assert [float(it.mean()) for it in panels] == [1, 7]

    def test_past(self):
        missing = np.array([False, True, True, False])
        weights = np.tril(np.ones((4, 4), np.float32))
        weights[:, missing] = 0
        weights[[1, 2], [1, 2]] = 1
        weights /= weights.sum(1, keepdims=True)
        figure = past_figure(
            [Past(3, 10, weights, missing, False), Past(4, 10, weights, missing, True)]
        )
        assert titles(figure) == ['object 3; hatched: not seen', 'object 4; hatched: hidden here']
        shown = figure.axes[0].images[0].get_array().filled(np.nan)
        nothing = np.nan
        np.testing.assert_allclose(
            shown,
            [
                [1, nothing, nothing, nothing],
                [nothing] * 4,
                [nothing] * 4,
                [1, nothing, nothing, 1],
            ],
        )
        hatched = [patch.get_bbox().bounds for patch in figure.axes[0].patches]
        assert hatched == [(11.5, 10.5, 2, 4), (10.5, 11.5, 4, 2)]

    def test_runs(self):
        assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
        assert runs(np.zeros(3, bool)) == []

    @pytest.mark.parametrize('objects', [1, 60])
    def test_similarity(self, objects, tmp_path):
        frames = [row(t, list(range(objects))) for t in range(20)]
        figure = similarity_figure(frames)
        alone, over_time, histogram = figure.axes[:3]
        np.testing.assert_allclose(
            alone.images[0].get_array(), cosines(frames[0].embeddings), rtol=1e-5
        )
        assert over_time.images[0].get_array().shape == (min(objects, 8) * 8,) * 2
        heights = sum(it.get_height() for it in histogram.patches)
        assert heights == pytest.approx(100 if objects == 1 else 200)
        write_figure(tmp_path / 'it.png', figure)
        assert cv2.imread(str(tmp_path / 'it.png')).std() > 5


class TestReport:
    def test_numbers_by_hand(self):
        seen = look(1)
        seen.view.depth[0] = np.nan
        seen.view.depth[20:] = 130
        frame = Found(
            0, 4, np.array([1, 2]), np.arange(2), np.zeros((2, 4)), np.ones(2),
            np.float32([[1, 0], [1, 0.1]]),
        )  # fmt: skip
        told = numbers(Inspection('x', [frame], [seen], []))
        assert (told['frames'], told['found'], told['alike']) == (1, 0.5, 1)
        assert np.isnan(told['same'])
        assert told['depth_error'] == pytest.approx((19 * 10 + 16 * 40) / 35)
        assert told['depth_error_boxes'] == pytest.approx((16 * 10 + 10 * 40) / 26)

    def test_folder(self, inspection, tmp_path, unpainted):
        odd = replace(inspection, name='set/<b>one</b>')
        write_inspection(tmp_path / 'out', [inspection, odd], 'depth', {'weights': 'w&w'})
        html = (tmp_path / 'out' / 'index.html').read_text()
        assert '<b>one' not in html
        assert 'w&amp;w' in html
        pictures = sorted(it.name for it in (tmp_path / 'out').glob('*.png'))
        assert len(pictures) == 2 * (2 + 2 * 2)
        assert all(f'src="{name}"' in html for name in pictures)
        told = json.loads((tmp_path / 'out' / 'numbers.json').read_text())
        assert told[inspection.name]['frames'] == FRAMES
        with pytest.raises(UserError, match='--force'):
            write_inspection(tmp_path / 'out', [inspection], 'depth', {})
        write_inspection(tmp_path / 'out', [inspection], 'depth', {}, force=True)
        assert len(list((tmp_path / 'out').glob('*.png'))) == 6


class TestVerb:
    @pytest.fixture
    def weights(self, tmp_path):
        save_network(network_of(small(release())), tmp_path / 'fdta.safetensors', {})
        return tmp_path / 'fdta.safetensors'

    def test_rendered_scenes(self, weights, tmp_path, lenient, capsys):
        arguments = ['inspect', str(weights), '--out', str(tmp_path / 'out'), '--score', '0']
        assert main([*arguments, '--frames', '3', '--pictures', '1', '--device', 'cpu']) == 0
        assert 'index.html' in capsys.readouterr().out
        html = (tmp_path / 'out' / 'index.html').read_text()
        assert '255 is nearest' in html

    @pytest.mark.parametrize('labelled', [False, True])
    def test_sequence_with_and_without_labels(
        self, weights, tmp_path, lenient, unpainted, labelled
    ):
        sequence = tmp_path / 'walk'
        made = footage(frames=2)
        (sequence / 'img1').mkdir(parents=True)
        (sequence / 'gt').mkdir()
        rows = []
        for number in range(2):
            view = made.view(number)
            cv2.imwrite(str(sequence / 'img1' / f'{number + 1:06}.png'), view.image)
            for identity, (x0, y0, x1, y1) in zip(view.ids, view.xyxy, strict=True):
                rows.append(f'{number + 1},{identity},{x0},{y0},{x1 - x0},{y1 - y0},1,1,1\n')
            if labelled:
                (sequence / 'depth').mkdir(exist_ok=True)
                label = np.full(view.image.shape[:2], 200, np.uint8)
                cv2.imwrite(str(sequence / 'depth' / f'{number + 1:06}.png'), label)
        (sequence / 'gt' / 'gt.txt').write_text(''.join(rows))
        arguments = ['inspect', str(weights), str(sequence), '--out', str(tmp_path / 'out'), '-q']
        assert main([*arguments, '--score', '0', '--pictures', '1', '--device', 'cpu']) == 0
        told = json.loads((tmp_path / 'out' / 'numbers.json').read_text())
        (told,) = told.values()
        assert (told['depth_error'] is not None) is labelled
        html = (tmp_path / 'out' / 'index.html').read_text()
        assert ('no labels of depth' in html) is not labelled

    def test_what_is_wrong_is_said(self, weights, tmp_path, capsys):
        out = ['--out', str(tmp_path / 'out')]
        assert main(['inspect', str(tmp_path / 'none.safetensors'), *out]) == 2
        assert main(['inspect', str(weights), str(tmp_path / 'none'), *out]) == 2
        assert 'does not exist' in capsys.readouterr().err
        assert not (tmp_path / 'out').exists()

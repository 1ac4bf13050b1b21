"""SAM 2, one step: what the published network computes, for many objects as for each alone."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import tiny_sam2

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')
sam2_network = pytest.importorskip('mot_perception.perception.sam2_network')
sam2_checkpoint = pytest.importorskip('mot_perception.perception.sam2_checkpoint')

TOLERANCE = 1e-4
"""Of one image (golden vectors' README)."""
PROPAGATED, REMEMBERED = 2e-3, 0.13
"""Of the mask in the second frame and of what is stored as bfloat16."""
BOX = 200.0, 150.0, 700.0, 620.0


class TestGolden:
    @pytest.fixture(scope='class')
    def seen(self, device, tmp_path_factory):
        """What the tiny SAM 2.1 of Meta's names makes of two images; some seconds of work."""
        weights = golden.weights('sam2')
        file = tmp_path_factory.mktemp('sam2') / 'filled.pt'
        torch.save({'model': weights}, file)
        network, name = sam2_checkpoint.load_sam2(str(file))
        assert 'SAM 2.1 tiny' in name
        network = network.to(device)
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            first, second = (
                sam2_network.encode(network, torch.from_numpy(image[None]).to(device))
                for image in images()
            )
            objects = sam2_network.prompted(network, first, torch.tensor([BOX], device=device))
            memory = sam2_network.remember(network, first, objects)
            later = sam2_network.propagated(network, second, memory)
            coarse = first.coarse + network.no_memory_embedding.view(1, -1, 1, 1)
            place = network.get_image_wide_positional_embeddings()
            box = torch.tensor([[BOX]], device=device)
            sparse, dense = network.prompt_encoder(None, None, box, None)
            fine = [first.fine, first.middle]
            three, quality, tokens, score = network.mask_decoder(
                coarse, place, sparse, dense, multimask_output=True, high_resolution_features=fine
            )
        maps = memory.tokens[: -memory.pointers].permute(1, 2, 0).reshape(1, 64, 64, 64)
        taps = {
            'image_embedding0[0,:8,::32,::32]': first.fine,
            'image_embedding1[0,:8,::16,::16]': first.middle,
            'image_embedding2[0,:8,::8,::8]': coarse,
            'dense_pe[0,::8,::16,::16]': place,
            'sparse_prompt[0,:,:64]': sparse[0],
            'masks_multi[0,:,::8,::8]': three[0],
            'iou_multi': quality[0],
            'mask_tokens_multi[0,:,:64]': tokens[0],
            'object_score': score[0],
            'mask_single[0,0,::4,::4]': objects.logits[:, None],
            'video.frame0_mask[0,0,::4,::4]': objects.logits[:, None],
            'video.frame0_obj_ptr': objects.pointer,
            'video.frame0_memory[0,:8,::8,::8]': maps,
            'video.frame1_mask[0,0,::4,::4]': later.logits[:, None],
            'video.frame1_obj_ptr': later.pointer,
            'video.object_scores': torch.cat([objects.score, later.score]),
        }
        return {name: tap.cpu().numpy() for name, tap in taps.items()}

    @pytest.mark.parametrize(
        ('name', 'tolerance'),
        [
            ('image_embedding0[0,:8,::32,::32]', TOLERANCE),
            ('image_embedding1[0,:8,::16,::16]', TOLERANCE),
            ('image_embedding2[0,:8,::8,::8]', TOLERANCE),
            ('dense_pe[0,::8,::16,::16]', TOLERANCE),
            ('sparse_prompt[0,:,:64]', TOLERANCE),
            ('masks_multi[0,:,::8,::8]', TOLERANCE),
            ('iou_multi', TOLERANCE),
            ('mask_tokens_multi[0,:,:64]', TOLERANCE),
            ('object_score', TOLERANCE),
            ('mask_single[0,0,::4,::4]', TOLERANCE),
            ('video.frame0_mask[0,0,::4,::4]', TOLERANCE),
            ('video.frame0_obj_ptr', TOLERANCE),
            ('video.frame0_memory[0,:8,::8,::8]', REMEMBERED),
            ('video.frame1_mask[0,0,::4,::4]', PROPAGATED),
            ('video.frame1_obj_ptr', PROPAGATED),
            ('video.object_scores', TOLERANCE),
        ],
    )
    def test_taps(self, name, tolerance, seen):
        expected = golden.recorded('sam2')
        whole = seen[name]
        cut = cut_as(name, whole)
        np.testing.assert_allclose(cut, expected[name], atol=tolerance)
        if whole.size > 1:
            statistics = [whole.mean(), whole.std(ddof=1), np.abs(whole).max()]
            np.testing.assert_allclose(
                statistics, expected[f'{name}.stats'], rtol=tolerance, atol=tolerance
            )


def images() -> np.ndarray:
    video = np.random.default_rng(0).standard_normal((2, 3, 1024, 1024))
    video[1] = 0.8 * np.roll(video[0], (16, 24), (1, 2)) + 0.6 * video[1]
    return video.astype(np.float32)


def cut_as(name: str, whole: np.ndarray) -> np.ndarray:
    """Return the part of a tap that a name of the golden vectors says."""
    if '[' not in name:
        return whole
    cuts = name[name.index('[') + 1 : -1].split(',')
    parts = [
        slice(*(int(it) if it else None for it in cut.split(':'))) if ':' in cut else int(cut)
        for cut in cuts
    ]
    return whole[tuple(parts)]


BOXES = [[5, 6, 40, 60], [0, 0, 63, 63], [30, 2, 50, 20], [10, 40, 14, 48], [44, 44, 63, 63]]


def video(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, tiny_sam2.SIDE, tiny_sam2.SIDE, generator=generator)


def step(network, frames, boxes):
    """Return the objects in both frames, all boxes together."""
    with torch.inference_mode():
        first, second = (sam2_network.encode(network, frame[None]) for frame in frames)
        corners = torch.tensor(boxes, dtype=torch.float32, device=frames.device)
        objects = sam2_network.prompted(network, first, corners)
        memory = sam2_network.remember(network, first, objects)
        return objects, sam2_network.propagated(network, second, memory)


def by_session(network, frames, boxes):
    """Return masks N×h×w and scores N of both frames as transformers' own session finds them."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    session = Sam2VideoInferenceSession(
        video=frames,
        video_height=tiny_sam2.SIDE,
        video_width=tiny_sam2.SIDE,
        inference_device=frames.device,
        inference_state_device=frames.device,
        dtype=torch.float32,
    )
    for number, box in enumerate(boxes):
        corners = torch.tensor(box, dtype=torch.float32).reshape(1, 1, 2, 2)
        labels = torch.tensor([2, 3], dtype=torch.int32).reshape(1, 1, 2)
        prompt = {'point_coords': corners, 'point_labels': labels}
        session.add_point_inputs(session.obj_id_to_idx(number), 0, prompt)
    session.obj_with_new_inputs = list(range(len(boxes)))
    found = [network(session, frame_idx=number) for number in (0, 1)]
    return [(it.pred_masks[:, 0], it.object_score_logits[:, 0]) for it in found]


@pytest.mark.parametrize('version', ['2.0', '2.1'])
@pytest.mark.parametrize('presence', [4.0, 0.0])
def test_objects_together_are_as_in_a_session(version, presence, device):
    network = tiny_sam2.network(version, presence).to(device)
    frames = video().to(device)
    found = step(network, frames, BOXES)
    for objects, (masks, scores) in zip(found, by_session(network, frames, BOXES), strict=True):
        torch.testing.assert_close(objects.score[:, 0], scores, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(objects.logits, masks, atol=2e-3, rtol=1e-3)
    absent = [int((objects.score <= 0).sum()) for objects in found]
    assert (0 < sum(absent) < 2 * len(BOXES)) == (presence == 0), 'both kinds are looked at'


def test_absent_objects_have_no_mask():
    objects, later = step(tiny_sam2.network(presence=-100.0), video(), BOXES)
    for found in (objects, later):
        assert (found.score < 0).all()
        assert (found.logits == sam2_network.ABSENT).all()


def test_objects_do_not_see_each_other(device):
    network = tiny_sam2.network().to(device)
    frames = video().to(device)
    together = step(network, frames, BOXES)
    for row, box in enumerate(BOXES):
        alone = step(network, frames, [box])
        for found, one in zip(together, alone, strict=True):
            torch.testing.assert_close(found.logits[row], one.logits[0], atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(found.pointer[row], one.pointer[0], atol=1e-3, rtol=1e-3)


def test_what_is_found_depends_on_memory():
    """The same second frame, another first one: so it is not outlined anew."""
    network = tiny_sam2.network()
    frames, others = video(), video(1)
    others[1] = frames[1]
    _, later = step(network, frames, BOXES)
    _, other = step(network, others, BOXES)
    assert (later.logits - other.logits).abs().mean() > 0.01


def test_bfloat16_is_near(device):
    network = tiny_sam2.network().to(device)
    frames = video().to(device)
    exact = step(network, frames, BOXES)
    with torch.autocast(frames.device.type, torch.bfloat16):
        rough = step(network, frames, BOXES)
    for found, expected in zip(rough, exact, strict=True):
        error = (found.logits - expected.logits).abs().mean()
        assert error < 0.1 * expected.logits.abs().mean()

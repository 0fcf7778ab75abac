"""Labels block by block against everything in one piece: MONAI's windows, all probabilities, SciPy's zoom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff
from torch import nn

from engine.data.prepare import Prepared, prepare
from engine.data.read import RawCase
from engine.data.volumes import spacing_of
from engine.device import Device
from engine.evaluation import labels, windows
from engine.evaluation.inference import Predictor, center_slices
from engine.evaluation.labels import Sample, predict_labels
from engine.recipe import DataTable
from tests.engine.evaluation.one_piece import logits_of, masks_of

CPU = Device(torch.device("cpu"), None, channels_last=False)


def predictor(outputs: int, size: tuple[int, ...], seed: int = 0, **options) -> Predictor:
    """One convolution, so that what a window says depends on where its edges are."""
    torch.manual_seed(seed)
    model = (nn.Conv2d if len(size) == 2 else nn.Conv3d)(1, outputs, 3, padding=1)
    kind = "sigmoid" if outputs == 1 else "softmax"
    options = {"overlap": 0.5, "batch_size": 3, **options}
    return Predictor(model=model, device=CPU, kind=kind, size=size, outputs=outputs, **options)


def case(shape: tuple[int, ...], size: tuple[int, ...], spacing=None, codes: str = "RAS") -> Prepared:
    image = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    affine = None
    if len(shape) == 3:
        affine = inv_ornt_aff(axcodes2ornt(codes), shape) @ np.diag([1.0, 1.5, 2.0, 1.0])
    raw = RawCase("c", image, None, affine, None if affine is None else spacing_of(affine))
    source = "decathlon" if len(shape) == 3 else "image_pairs"
    return prepare(raw, DataTable(source=source, root="d", size=size, intensity="none", spacing=spacing))


def same(one: Predictor, prepared: Prepared, threshold: float = 0.4) -> None:
    probabilities = one.probabilities(logits_of(one, prepared.image)).numpy()
    wanted = masks_of(probabilities, prepared, threshold if one.kind == "sigmoid" else None)
    for found, piece in zip(predict_labels([one], prepared, threshold=threshold), wanted, strict=True):
        np.testing.assert_array_equal(found, piece)


@pytest.mark.parametrize("outputs", [1, 2, 40])
@pytest.mark.parametrize(("live", "overlap"), [(2**31, 0.0), (2**31, 0.6), (80_000, 0.25), (1, 0.5)])
def test_a_volume_is_labelled_as_in_one_piece(live, outputs, overlap, monkeypatch):
    monkeypatch.setattr(windows, "LIVE_BYTES", live)
    same(predictor(outputs, (8, 10, 9), overlap=overlap), case((19, 31, 22), (8, 10, 9)))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(5, 16)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.8, 1.0, 1.5, 2.0, 3.1])] * 3),
    codes=st.sampled_from(["RAS", "LPS", "ASR", "SPL"]),
    outputs=st.sampled_from([1, 2, 5]),
    live=st.sampled_from([2**31, 20_000]),
)
def test_a_resampled_volume_is_labelled_as_in_one_piece(shape, spacing, codes, outputs, live):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "LIVE_BYTES", live)
        same(predictor(outputs, (8, 9, 10)), case(shape, (8, 9, 10), spacing, codes))


@pytest.mark.parametrize("spacing", [None, (0.7, 1.9)])
def test_a_picture_is_labelled_as_in_one_piece(spacing, monkeypatch):
    monkeypatch.setattr(windows, "LIVE_BYTES", 10_000)
    same(predictor(7, (16, 12), mirrors=(0, 1)), case((70, 61), (16, 12), spacing))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("spacing", [None, (1.3, 0.6, 2.9)])
def test_around_a_centre_crop_all_is_background(outputs, spacing):
    one, prepared = predictor(outputs, (8, 8, 8)), case((25, 30, 19), (8, 8, 8), spacing, "LPS")
    crop = center_slices(prepared.image.shape[1:], one.size)
    inner = one.probabilities(logits_of(one, prepared.image[(slice(None), *crop)])).numpy()
    whole = np.zeros((outputs, *prepared.image.shape[1:]), np.float32)
    whole[0] = outputs > 1
    whole[(slice(None), *crop)] = inner
    wanted = masks_of(whole, prepared, 0.5 if outputs == 1 else None)
    for found, piece in zip(predict_labels([one], prepared, threshold=0.5, crop=crop), wanted, strict=True):
        np.testing.assert_array_equal(found, piece)


@pytest.mark.parametrize("outputs", [1, 4])
def test_several_networks_vote_by_their_mean_probability(outputs, monkeypatch):
    monkeypatch.setattr(windows, "LIVE_BYTES", 20_000)
    members = [predictor(outputs, (8, 8, 8), seed) for seed in range(3)]
    prepared = case((20, 17, 23), (8, 8, 8), (1.4, 1.0, 2.5))
    mean = np.mean([one.probabilities(logits_of(one, prepared.image)).numpy() for one in members], axis=0)
    sample = Sample(prepared.image.shape[1:])
    found = predict_labels(members, prepared, threshold=0.5, sample=sample)
    for mask, piece in zip(found, masks_of(mean, prepared, 0.5 if outputs == 1 else None), strict=True):
        np.testing.assert_array_equal(mask, piece)
    np.testing.assert_allclose(members[0].probabilities(sample.logits).numpy(), mean, atol=1e-6)


@pytest.mark.parametrize(("limit", "every"), [(2**29, 1), (40_000, 4)])
def test_logits_for_the_loss_are_those_of_every_nth_slice(limit, every, monkeypatch):
    monkeypatch.setattr(labels, "SAMPLE_BYTES", limit)
    one, prepared = predictor(3, (8, 8, 8)), case((21, 30, 19), (8, 8, 8))
    sample = Sample(prepared.image.shape[1:])
    predict_labels([one], prepared, threshold=0.5, sample=sample)
    assert sample.every == every
    np.testing.assert_array_equal(sample.logits, logits_of(one, prepared.image)[:, ::every])

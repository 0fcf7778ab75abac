"""The one evaluator over small phantoms: what its handlers see, what comes of it, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from sklearn.metrics import log_loss
from torch import nn

from engine.data import open_dataset
from engine.device import Device
from engine.errors import DataError
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.inference import Predictor
from engine.evaluation.protocol import EvalJob
from engine.evaluation.segmentation import Segmentation
from engine.losses import CrossEntropy, Focal, Sum
from engine.recipe import SegmentationEvaluateTable
from engine.recipe.tables import ClassificationEvaluateTable
from tests.phantoms import TASKS, data_table, phantom_root

CPU = Device(torch.device("cpu"), None, channels_last=False)


class Brightness(nn.Module):
    """A voxel is foreground where it is bright: one logit a voxel."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1] * 4 - 2


class Colours(nn.Module):
    """The mean of each colour, again and again, as the logits of seven classes."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((2, 3)).repeat(1, 3)[:, :7]


class Recorder:
    """What an evaluator leaves in its state at each event."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []
        self.completed = 0

    def attach(self, evaluator: Engine) -> None:
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: self.outputs.append(evaluator.state.output))
        evaluator.add_event_handler(Events.COMPLETED, self._complete)
        self.evaluator = evaluator

    def _complete(self) -> None:
        self.completed += 1


def binary(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.float())


def make_job(root: Path, name: str, **changes: Any) -> EvalJob:
    table = data_table(name)
    dataset = open_dataset(table, TASKS[name], phantom_root(root, name))
    segments = TASKS[name] == "segmentation"
    predictor = Predictor(
        model=Brightness() if segments else Colours(),
        device=CPU,
        kind="sigmoid" if segments else "softmax",
        size=table.size,
        overlap=0.0,
        batch_size=2,
    )
    fields: dict[str, Any] = {
        "dataset": dataset,
        "split": "train",
        "voters": (predictor,),
        "criterion": binary if segments else nn.CrossEntropyLoss(),
        "data": table,
        "table": SegmentationEvaluateTable() if segments else ClassificationEvaluateTable(),
        "purpose": "test",
    }
    return EvalJob(**fields | changes)


@pytest.mark.parametrize("name", ["left_atrium", "isic2018"])
def test_handlers_see_every_case_in_order_and_progress_ends_at_the_last(tmp_path, name):
    job = make_job(tmp_path, name)
    evaluation, recorder, progress = open_evaluation(job), Recorder(), []
    evaluate_split(evaluation, lambda *done: progress.append(done), [recorder])
    ids = [case.id for case in job.cases]
    if name == "left_atrium":
        assert [output.prepared.id for output in recorder.outputs] == ids
    else:
        assert [one for output in recorder.outputs for one in output.ids] == ids
    assert progress[-1] == (len(ids), len(ids))
    assert len(progress) == len(recorder.outputs) == len(evaluation)
    assert recorder.completed == 1
    assert recorder.evaluator.state.output is None  # no case's arrays are held while the next one is predicted
    assert evaluation.summary().n == len(evaluation.table("x")[1]) == len(evaluation.cases()) == len(ids)


def test_only_predicting_needs_no_truth_and_no_loss(tmp_path):
    job = make_job(tmp_path, "left_atrium", criterion=None, purpose="predict")
    bare = replace(job.dataset, cases=tuple(replace(case, label=None) for case in job.dataset.cases))
    evaluation, recorder = open_evaluation(replace(job, dataset=bare)), Recorder()
    evaluate_split(evaluation, None, [recorder, evaluation.predictions(tmp_path / "masks", str, lambda _path: None)])
    assert all(output.row is None for output in recorder.outputs)
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"{case.id}.nii.gz" for case in job.cases]
    with pytest.raises(DataError, match="no label to be measured against"):
        evaluate_split(open_evaluation(replace(job, dataset=bare, purpose="test", criterion=binary)))


def test_the_loss_of_a_split_is_torchs_over_its_cases(tmp_path):
    job = make_job(tmp_path, "left_atrium")
    evaluation, recorder = open_evaluation(job), Recorder()
    evaluate_split(evaluation, None, [recorder])
    wanted = [
        float(binary(Brightness()(torch.from_numpy(p.image)[None]), torch.from_numpy(p.label_net)[None]))
        for p in (output.prepared for output in recorder.outputs)
    ]
    assert evaluation.summary().values["loss"] == pytest.approx(np.mean(wanted), rel=1e-5)


def test_probabilities_and_losses_of_images_are_torchs(tmp_path):
    job = make_job(tmp_path, "isic2018")
    evaluation, recorder = open_evaluation(job), Recorder()
    evaluate_split(evaluation, None, [recorder])
    logits = torch.from_numpy(np.concatenate([output.logits for output in recorder.outputs]))
    targets = torch.tensor([case.target for case in job.cases])
    losses = [row["loss"] for row in sorted(evaluation.cases(), key=lambda row: row["id"])]
    each = nn.functional.cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(losses, each.numpy(), rtol=1e-12)
    assert evaluation.summary().values["loss"] == pytest.approx(float(each.mean()), rel=1e-6)


def test_the_description_names_what_changes_the_numbers(tmp_path):
    table = SegmentationEvaluateTable(
        mode="center_crop", validation_mode="whole", flips=True, threshold=0.6, largest_component=True
    )
    job = make_job(tmp_path, "left_atrium", table=table, checkpoint="best")
    assert open_evaluation(job).describe() == (
        "centre crop 32x32x32, test-time mirroring, threshold 0.6, largest component (26 neighbours), checkpoint best"
    )
    assert open_evaluation(replace(job, purpose="validation")).describe().startswith("whole volume, sliding window")


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_the_loss_with_class_weights_does_not_depend_on_the_batch_size(tmp_path, batch_size):
    weights = (0.1, 3.0, 1.0, 0.7, 9.0, 0.0, 0.3)  # 0: a class that no training case has
    job = make_job(tmp_path, "isic2018", table=ClassificationEvaluateTable(batch_size=batch_size))
    for criterion in (CrossEntropy("softmax", weights), Sum(Focal("softmax", weights), CrossEntropy("softmax"))):
        evaluation, recorder = open_evaluation(replace(job, criterion=criterion)), Recorder()
        evaluate_split(evaluation, None, [recorder])
        logits = torch.from_numpy(np.concatenate([output.logits for output in recorder.outputs]))
        whole = float(criterion(logits, torch.from_numpy(evaluation.targets)))
        assert evaluation.summary().values["loss"] == pytest.approx(whole, rel=1e-6)
        if isinstance(criterion, CrossEntropy):
            of_cases = np.array(weights)[evaluation.targets]
            peer = log_loss(evaluation.targets, evaluation.probabilities, sample_weight=of_cases, labels=range(7))
            assert whole == pytest.approx(peer, rel=1e-6)


def test_what_is_not_known_counts_in_no_number_and_is_in_no_picture(tmp_path):
    """A network that is wrong wherever the truth is not known, and a case of which nothing is known in the crop."""
    job = make_job(tmp_path, "left_atrium", criterion=BCE.ignoring(2))
    folder = tmp_path / "masks"
    plain, recorder = open_evaluation(make_job(tmp_path, "left_atrium")), Recorder()
    evaluate_split(plain, None, [recorder])
    unknown = {}
    for number, output in enumerate(recorder.outputs):
        wrong = output.mask != output.prepared.label
        unknown[output.prepared.id] = np.ones_like(wrong) if number == 1 else wrong
    blind = replace(job, dataset=replace(job.dataset, ignore=9))
    evaluation, sparse = _Sparse(blind, unknown), Recorder()
    previews = Kept(2)
    evaluate_split(
        evaluation, None, [sparse, evaluation.predictions(folder, str, print), evaluation.previews(previews)]
    )
    summary = evaluation.summary()
    assert plain.summary().values["dice"] < 0.999
    assert (summary.values["dice"], summary.values["assd"], summary.values["false_positive_cases"]) == (1, 0, 0)
    assert summary.n == len(job.cases) - 1
    assert summary.protocol.endswith(f"nothing known of {job.cases[1].id}")
    assert len(previews.written) == 2
    assert all((arrays["truth"] == arrays["prediction"]).all() for arrays in previews.written)
    # predictions are whole, also where nothing is known to compare them with
    for before, after in zip(recorder.outputs, sparse.outputs, strict=True):
        np.testing.assert_array_equal(before.mask, after.mask)
    losses = []
    for output in sparse.outputs:
        logits, truth = Brightness()(torch.from_numpy(output.prepared.image)[None]), output.prepared.label_net
        known = torch.from_numpy(truth < 2)
        if known.any():
            losses.append(float(binary(logits[:, :, known], torch.from_numpy(truth)[known][None])))
    assert summary.values["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_split_of_which_nothing_is_known_has_no_numbers(tmp_path):
    job = make_job(tmp_path, "left_atrium", criterion=BCE.ignoring(2))
    job = replace(job, dataset=replace(job.dataset, ignore=9))
    evaluation = _Sparse(job, dict.fromkeys([case.id for case in job.cases], np.True_))
    evaluate_split(evaluation)
    summary = evaluation.summary()
    assert (summary.n, summary.values["dice"], summary.values["loss"]) == (0, None, None)


BCE = CrossEntropy("sigmoid")


class _Sparse(Segmentation):
    """The truth of a case is not known where ``unknown`` says so."""

    def __init__(self, job: EvalJob, unknown: dict[str, Any]) -> None:
        super().__init__(job)
        self.unknown_by_id = unknown

    def items(self):
        for prepared in super().items():
            labels = [
                np.where(self.unknown_by_id[prepared.id], 2, each) for each in (prepared.label, prepared.label_net)
            ]
            yield replace(prepared, label=labels[0], label_net=labels[1])


class Kept:
    """Takes what a `PreviewWriter` takes."""

    def __init__(self, count: int) -> None:
        self.count, self.written = count, []

    def write(self, case: str, value: float, arrays: dict[str, Any]) -> None:
        self.written.append(arrays)

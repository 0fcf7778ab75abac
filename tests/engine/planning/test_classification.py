"""The plan of a classification: as large as the minutes let it be seen often enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import DataError
from engine.planning.classification import plan_classification
from tests.engine.planning.made_up import CPU, GPU, paces, pictures, reasons, recipe_of, volumes, wish


def planned(facts, machine=CPU, minutes=60, seconds=lambda _tables: 0.01, ready=()):
    plan = plan_classification(wish(facts, machine, minutes), paces(seconds), frozenset(ready))
    return recipe_of(plan, facts), plan


def test_pictures_are_as_large_as_thirty_passes_allow():
    facts = pictures(train=6400)  # 100 steps a pass

    def by_size(tables):
        return (tables["data"]["size"][0] / 128) ** 2

    recipe, plan = planned(facts, seconds=by_size)
    assert recipe.data.size == (128, 128)  # 3,492 steps; of 160 pixels 2,235
    assert reasons(plan)["model.name"] == "about 35 passes over the cases"
    assert planned(facts, minutes=600, seconds=by_size)[0].data.size == (224, 224)
    assert planned(facts, minutes=1, seconds=by_size)[0].data.size == (64, 64)  # the least there is


def test_no_case_is_seen_more_often_than_in_the_longest_usual_trainings():
    few = pictures((64, 64), counts=(10, 10), train=16)  # one batch: an epoch is a step
    recipe, plan = planned(few, seconds=lambda _tables: 0.1)  # 34,920 steps in the hour
    assert (recipe.train.epochs, recipe.train.minutes, plan.minutes) == (600, None, 1.0)
    assert reasons(plan)["train.epochs"].startswith("600 steps, about 1 of the 60 minutes: 600 passes over the cases")
    assert any("about 1 of the 60 minutes" in line for line in plan.said)
    recipe, plan = planned(
        pictures((64, 64), train=1600), seconds=lambda _tables: 0.1
    )  # 25 steps a pass: 15,000 in all
    assert recipe.train.epochs == 600
    assert plan.minutes == 25
    assert planned(pictures((64, 64), train=1600), seconds=lambda _tables: 0.3)[0].train.minutes == 60  # 11,640 steps


def test_pictures_are_not_enlarged():
    assert planned(pictures((100, 120)))[0].data.size == (96, 96)
    assert planned(pictures((28, 28)))[0].data.size == (32, 32)


def test_a_gpu_takes_the_large_network_where_it_is_quick_enough():
    assert planned(pictures(), GPU)[0].model.name == "resnet50"
    assert planned(pictures(), GPU, seconds=lambda t: None if t["model"]["name"] == "resnet50" else 0.1)[
        0
    ].model.name == ("resnet18")


def test_weights_that_are_here_are_used_and_none_are_fetched():
    recipe, _ = planned(pictures(), ready=["resnet18"])
    assert (recipe.model.pretrained, recipe.optimizer.lr, recipe.schedule.name) == (True, 3e-4, "cosine")
    recipe, plan = planned(pictures(), ready=["resnet50"])
    assert (recipe.model.pretrained, recipe.optimizer.lr, recipe.schedule.name) == (False, 0.002, "one_cycle")
    assert "true fetches ImageNet weights" in reasons(plan)["model.pretrained"]


def test_weights_that_are_installed_are_worth_more_than_a_larger_network():
    recipe, plan = planned(pictures(), GPU, ready=["efficientnet_lite0"])
    assert (recipe.model.name, recipe.model.pretrained) == ("efficientnet_lite0", True)
    assert (recipe.optimizer.lr, recipe.schedule.name) == (0.001, "one_cycle")
    assert any("efficientnet_lite0 from ImageNet weights" in line for line in plan.said)
    assert planned(pictures(), GPU, ready=["efficientnet_lite0", "resnet50"])[0].model.name == "resnet50"
    volumes = planned(volumes_of_classes((64, 64, 64)), ready=["efficientnet_lite0"])[0]
    assert (volumes.model.name, volumes.model.pretrained) == ("resnet18", False)

    def by_size(tables):
        return (tables["data"]["size"][0] / 128) ** 2

    fewer = planned(pictures(train=6400), seconds=by_size, ready=["efficientnet_lite0"])[0]
    assert fewer.data.size == (192, 192)  # 1,552 steps, of 224 pixels 1,140, where twelve passes of 100 are wanted


def test_the_loss_knows_of_rare_classes_and_of_none_that_never_is_there():
    recipe, plan = planned(pictures(counts=(400, 100, 0)))
    assert recipe.loss.logit_adjustment == 0.8
    assert reasons(plan)["loss.logit_adjustment"].startswith("a has 400 cases, b 100")
    assert planned(pictures(counts=(250, 250)))[0].loss.logit_adjustment == 0


def test_grey_pictures_and_few_of_them():
    recipe, _ = planned(pictures(channels=1, train=40))
    assert (recipe.data.intensity, recipe.augment.saturation, recipe.train.batch_size) == ("zscore", 0, 16)
    assert planned(pictures(train=5))[0].train.batch_size == 5


def volumes_of_classes(size, spacing=(1.0, 1.0, 1.0)):
    facts, kind = volumes(size, (spacing,)), pictures(train=40).dataset
    dataset = replace(facts.dataset, task="classification", cases=kind.cases, classes=("a", "b"), label_values=())
    dataset = replace(dataset, source="image_folder")
    return replace(facts, dataset=dataset, keys={"source": "image_folder"}, present={"a": 70, "b": 70})


def test_volumes_keep_their_proportions_in_space_and_are_no_finer_than_they_are():
    recipe, plan = planned(volumes_of_classes((200, 200, 40), (1.0, 1.0, 5.0)))
    assert recipe.data.size == (128, 128, 40)
    assert (recipe.model.stem, recipe.model.width, recipe.data.intensity) == (2, 0.5, "zscore")
    assert reasons(plan)["model.stem"].startswith("of 128x128x40 voxels")
    recipe, _ = planned(volumes_of_classes((160, 160, 160)))
    assert (recipe.data.size, recipe.model.stem) == ((128, 128, 128), 4)
    costs = {128: 30.0, 96: 25.0, 80: 15.0}  # in the hour 116, 139 and 232 steps, where 30 passes of 5 are wanted
    slow, _ = planned(volumes_of_classes((160, 160, 160)), seconds=lambda tables: costs[tables["data"]["size"][0]])
    assert slow.data.size == (80, 80, 80)
    assert planned(volumes_of_classes((30, 30, 10)))[0].data.size == (32, 32, 16)


def test_what_cannot_be_classified_is_said():
    with pytest.raises(DataError, match="one class"):
        planned(pictures(counts=(500, 0)))
    few = pictures(counts=(1,) * 7)
    with pytest.raises(DataError, match="7 classes for 13 cases: too few"):
        planned(replace(few, dataset=replace(few.dataset, cases=few.dataset.cases[:13])))
    with pytest.raises(DataError, match="all training cases are of one class"):
        planned(pictures(train=1))
    with pytest.raises(DataError, match="fits into the memory"):
        planned(pictures(), seconds=lambda _tables: None)

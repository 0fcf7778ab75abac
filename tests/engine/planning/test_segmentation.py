"""The plan of a segmentation follows from sizes, spacings, values, minutes and machine."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.errors import DataError
from engine.models.dynunet import plan_strides
from engine.planning.segmentation import plan_segmentation
from engine.planning.shapes import crop_size
from tests.engine.planning.made_up import CPU, GPU, SEEN, paces, reasons, recipe_of, volumes, wish


def kept(_spacing: tuple[float, ...]) -> float:
    return 1.0


def planned(facts, machine=CPU, minutes=60, seconds=lambda _tables: 0.1, trip=kept):
    plan = plan_segmentation(wish(facts, machine, minutes), paces(seconds), trip)
    return recipe_of(plan, facts), plan


def test_a_crop_is_a_whole_image_or_nearly_a_cube_of_it_with_nothing_filled_up():
    assert crop_size((35, 50, 36), (1, 1, 1), 10**6, (8, 8, 8)) == (40, 56, 40)
    assert crop_size((192, 143, 88), (1, 1, 1), 112 * 112 * 80, (16, 16, 16)) == (112, 112, 80)
    thick = crop_size((512, 512, 128), (0.5, 0.5, 2.0), 128**3, (16, 16, 16))
    assert math.prod(thick) <= 128**3
    assert thick[0] == thick[1] > thick[2]  # in mm as nearly a cube as it may be


def test_a_machine_with_a_gpu_sees_more_at_once():
    facts = volumes((256, 256, 256))
    small, _ = planned(facts)
    large, plan = planned(facts, GPU)
    assert math.prod(small.data.size) <= 112 * 112 * 80 < math.prod(large.data.size) <= 128**3
    assert large.model.channels == (32, 64, 128, 256)
    assert reasons(plan)["model.channels"] == "4 levels, from 32 features at the top, as nnU-Net's"


def test_a_wide_network_is_left_for_one_that_makes_many_more_steps():
    facts = volumes((64, 64, 64))

    def slow(tables):
        return 6.0 if tables["model"]["channels"][0] == 32 else 2.0

    recipe, plan = planned(facts, seconds=slow)
    assert recipe.model.channels[0] == 16
    assert "which would make 580 steps in 60 minutes" in reasons(plan)["model.channels"]  # 0.97 * 3600 / 6
    assert planned(facts, minutes=600, seconds=slow)[0].model.channels[0] == 32
    assert planned(facts, seconds=lambda tables: 1.6 if slow(tables) == 6.0 else 1.0)[0].model.channels[0] == 32


def test_crops_shrink_where_steps_are_few_or_memory_short():
    facts = volumes((112, 112, 80), spacings=((1.0, 1.0, 1.0),), unit="voxel")

    def by_size(tables):
        return 30.0 * math.prod(tables["data"]["size"]) / (112 * 112 * 80)

    whole = 112 * 112 * 80
    assert math.prod(planned(facts, seconds=by_size)[0].data.size) <= whole / 2
    assert planned(facts, minutes=600, seconds=by_size)[0].data.size == (112, 112, 80)

    def no_memory(tables):
        return 0.1 if math.prod(tables["data"]["size"]) <= whole / 2 else None

    assert whole / 4 < math.prod(planned(facts, seconds=no_memory)[0].data.size) <= whole / 2
    with pytest.raises(DataError, match="fits into the memory"):
        planned(facts, seconds=lambda _tables: None)


def test_flat_volumes_are_halved_along_their_long_axes_only():
    facts = volumes((256, 256, 20), spacings=((1.0, 1.0, 1.0),))
    recipe, _ = planned(facts)
    assert (recipe.model.name, recipe.data.size[2]) == ("dynunet", 20)
    strides = plan_strides(recipe.data.size, len(recipe.model.channels))
    assert len(strides) == len(recipe.model.channels)  # else no such network can be built
    assert (strides[1], strides[-1]) == ((2, 2, 2), (2, 2, 1))


def test_a_crop_has_at_least_the_eight_voxels_that_a_recipe_allows():
    assert planned(volumes((64, 64, 1)))[0].data.size == (64, 64, 8)
    assert planned(volumes((5, 5, 5)))[0].data.size == (8, 8, 8)


def test_a_scan_of_many_crops_gets_coarser_voxels_as_far_as_the_truth_allows():
    facts = volumes((512, 512, 100), spacings=((0.8, 0.8, 5.0),))
    recipe, plan = planned(facts)
    assert recipe.data.spacing[2] == 5.0  # the coarse axis stays
    assert recipe.data.spacing[0] == recipe.data.spacing[1] > 1.6
    held = 512 * 512 * 100 * 0.8**2 / math.prod(recipe.data.spacing[:2])
    assert held == pytest.approx(4 * 112 * 112 * 80, rel=0.05)
    assert "coarser than the 0.8 x 0.8 x 5 mm" in reasons(plan)["data.spacing"]
    assert planned(facts, trip=lambda _spacing: 0.9)[0].data.spacing is None
    finer, _ = planned(facts, trip=lambda spacing: 1.0 if spacing[0] < 1.5 else 0.9)
    assert 0.8 < finer.data.spacing[0] < 1.5


def test_pixels_of_large_pictures_are_taken_together():
    facts = volumes((2000, 3000), unit="pixel")
    dataset = replace(facts.dataset, spatial_dims=2, channels=3, source="image_pairs")
    recipe, plan = planned(replace(facts, dataset=dataset, keys={"source": "image_pairs", "classes": ("a",)}))
    assert recipe.data.spacing[0] == recipe.data.spacing[1] == pytest.approx((6e6 / 4 / 256**2) ** 0.5, rel=0.03)
    assert math.prod(recipe.data.size) <= 256**2
    assert recipe.data.intensity == "imagenet"
    assert reasons(plan)["data.spacing"].startswith("pixels taken together")


def test_crops_look_for_classes_where_some_images_are_much_larger_than_a_crop():
    facts = volumes((64, 64, 64))
    assert planned(replace(facts, sizes=(*facts.sizes, (80, 80, 80))))[0].data.crop == "random"
    recipe, plan = planned(replace(facts, sizes=(*facts.sizes[1:], (128, 128, 128))))
    assert recipe.data.crop == "foreground"
    assert "fits, and 12.5% of the largest" in reasons(plan)["data.size"]
    fine = replace(facts, sizes=(*facts.sizes[1:], (128,) * 3), spacings=(*facts.spacings[1:], (0.5,) * 3))
    assert planned(fine)[0].data.crop == "random"  # at the spacing of the others it is as large as they are


def test_voxels_that_differ_are_made_alike():
    recipe, plan = planned(volumes((64, 64, 40), spacings=((1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (1.0, 1.0, 2.0))))
    assert recipe.data.spacing == (1.0, 1.0, 2.0)
    assert "1 x 1 x 1 to 3 mm" in reasons(plan)["data.spacing"]


THICK = ((1.0, 1.0, 3.0), (1.0, 1.0, 5.0), (1.0, 1.0, 6.0))


@pytest.mark.parametrize(
    ("spacings", "size", "wanted", "thinned"),  # nnU-Net's rule, worked by hand
    [
        (THICK, (128, 128, 30), (1.0, 1.0, 3.0), True),  # a third of them have 3 mm: so has the 10th percentile
        ([side[::-1] for side in THICK], (30, 128, 128), (3.0, 1.0, 1.0), True),
        (THICK, (128, 128, 43), (1.0, 1.0, 5.0), False),  # 3 x 43 > 128: slices are not few
        (
            ((1.0, 1.0, 2.0), (1.0, 1.0, 3.0), (1.0, 1.0, 6.0)),
            (128, 128, 30),
            (1.0, 1.0, 3.0),
            False,
        ),  # not above 3 times
        (
            ((1.0, 1.0, 0.5), (1.0, 1.0, 5.0), (1.0, 1.0, 6.0)),
            (128, 128, 30),
            (1.0, 1.0, 1.0),
            True,
        ),  # no thinner than wide
        (((1.0, 1.0, 1.0), *((1.0, 1.0, 5.0),) * 10), (128, 128, 30), (1.0, 1.0, 5.0), False),  # one in eleven is thin
    ],
)
def test_thick_slices_are_made_as_thin_as_the_thinner_ones(spacings, size, wanted, thinned):
    recipe, plan = planned(volumes(size, spacings=tuple(spacings)))
    assert recipe.data.spacing == wanted
    assert ("10th percentile" in reasons(plan)["data.spacing"]) == thinned


def test_slices_of_large_scans_stay_thin_while_their_plane_is_made_coarser():
    spacings = ((0.4, 0.4, 3.0), (0.4, 0.4, 5.0), (0.4, 0.4, 6.0))
    recipe, plan = planned(volumes((512, 512, 40), spacings=spacings))
    assert recipe.data.spacing[2] == 3.0
    assert 0.4 < recipe.data.spacing[0] == recipe.data.spacing[1] < 1.5
    why = reasons(plan)["data.spacing"]
    assert why.startswith("coarser than the 0.4 x 0.4 x 3 to 6 mm")
    assert "10th percentile" in why
    recipe, plan = planned(volumes((1200, 1200, 200), spacings=spacings))
    assert recipe.data.spacing[2] > 3.0  # so many voxels that all axes have to become coarser
    assert "10th percentile" not in reasons(plan)["data.spacing"]


@pytest.mark.parametrize(
    ("image", "modality", "intensity"),
    [
        (SEEN, "MRI", "zscore"),
        (replace(SEEN, blank=0.4), "MRI", "body"),
        (replace(SEEN, low=-1024.0, foreground=(10.0, 50.0)), "unknown", "window"),
        (replace(SEEN, low=20.0, foreground=(10.0, 50.0)), "CT", "window"),
        (replace(SEEN, low=20.0, foreground=(10.0, 10.0)), "CT", "zscore"),  # a window of no width
        (replace(SEEN, low=-1024.0), "CT", "zscore"),  # nothing of any class was seen
    ],
)
def test_intensities_are_told_by_values_and_modality(image, modality, intensity):
    assert planned(volumes(seen=(image,) * 3, modality=modality))[0].data.intensity == intensity


def test_one_piece_is_kept_only_where_every_mask_has_one():
    def kept_whole(*seen):
        return planned(volumes(seen=seen))[0].evaluate.largest_component

    many = (SEEN,) * 40
    assert kept_whole(*many)
    assert not kept_whole(*many, replace(SEEN, pieces=((0, 100, 60),)))
    assert not kept_whole(*[replace(SEEN, pieces=())] * 40)
    assert not kept_whole(*[SEEN] * 5)  # of five lesions alone in their scans the sixth may have a neighbour


def test_a_class_that_few_masks_show_is_not_believed_to_be_one_piece():
    facts = volumes(seen=(SEEN,) * 40 + (replace(SEEN, pieces=((0, 9, 9), (1, 9, 9))),) * 3)
    facts = replace(facts, dataset=replace(facts.dataset, classes=("organ", "tumour"), label_values=(1, 2)))
    assert not planned(facts)[0].evaluate.largest_component


def test_crops_of_a_flat_volume_are_turned_in_their_plane_only():
    recipe, plan = planned(volumes((256, 20, 256), spacings=((0.5, 5.0, 0.5),)))
    assert recipe.augment.rotate_plane == (0, 2)
    assert f"20 voxels is not turned into one of {max(recipe.data.size)}" in reasons(plan)["augment.rotate_plane"]
    assert planned(volumes((64, 64, 40)))[0].augment.rotate_plane is None


def test_validations_take_a_tenth_of_the_minutes_at_most_and_are_paid_for():
    facts = volumes()  # 40 training cases: an epoch is 28 steps
    tables = paces(lambda _tables: 1.0, validation=90.0)
    plan = plan_segmentation(wish(facts), tables, kept)
    recipe = recipe_of(plan, facts)
    steps = 0.97 * 3600 - 4 * 90  # a tenth of an hour is 4 validations
    assert recipe.train.validate_every == round(steps / 40 / 4)
    assert reasons(plan)["train.validate_every"] == "about 4 looks in a run, of 90 s each"
    assert reasons(plan)["train.minutes"].startswith("about 3,100 steps here")


def test_an_epoch_has_as_many_steps_as_the_loader_makes_of_it():
    _, plan = planned(volumes(train=3))
    assert (
        reasons(plan)["data.samples_per_case"] == "3 cases a pass: an epoch is 28 steps"
    )  # 57 crops: one is left over


def test_few_test_cases_are_said_to_say_little():
    facts = volumes()
    assert reasons(planned(facts)[1])["data.test_fraction"] == "10 cases for the test"
    cases = tuple(case for case in facts.dataset.cases if case.id not in {"test0", "test1"})
    _, plan = planned(replace(facts, dataset=replace(facts.dataset, cases=cases)))
    assert reasons(plan)["data.test_fraction"].startswith("8 cases for the test, which say little; split = ")


def test_few_cases_are_not_seen_for_as_long_as_the_minutes_are():
    few = volumes((64, 64, 64), train=20)
    recipe, plan = planned(few, seconds=lambda _tables: 0.1)  # 34,920 steps in the hour; 530 times 10 are enough
    assert recipe.train.minutes is None
    assert recipe.train.epochs * 30 == pytest.approx(5300, rel=0.01)
    assert plan.minutes == pytest.approx(5300 / 600, rel=0.01)
    assert "each case is seen 530 times" in reasons(plan)["train.epochs"]
    assert planned(few, seconds=lambda _tables: 1.0)[0].train.minutes == 60  # 3,492 steps
    one, plan = planned(volumes((64, 64, 64), train=1), seconds=lambda _tables: 0.1)
    assert one.train.epochs * 28 == pytest.approx(2400, rel=0.01)  # a network has to learn
    assert "each case is seen 4,800 times" in reasons(plan)["train.epochs"]
    large = volumes((160, 160, 160), train=20)  # of which a crop holds a part: as many voxels of a case are seen
    longer = planned(large, seconds=lambda _tables: 0.01)
    assert longer[0].train.epochs * 30 == pytest.approx(5300 * 160**3 / math.prod(longer[0].data.size), rel=0.01)
    _, plan = planned(volumes((256, 256, 256), train=900), seconds=lambda _tables: 0.0001)
    assert "the steps of nnU-Net" in reasons(plan)["train.epochs"]


def test_validations_of_a_shorter_training_take_a_tenth_of_it():
    plan = plan_segmentation(wish(volumes(train=20)), paces(lambda _tables: 0.1, validation=9.0), kept)
    assert reasons(plan)["train.validate_every"] == "about 5 looks in a run, of 9 s each"  # a tenth of 530 s
    assert plan.minutes == pytest.approx((530 + 5 * 9) / 60, rel=0.02)


def test_many_cases_are_not_warmed_up_for_longer_than_is_trained():
    facts = volumes(train=9000)
    recipe, plan = planned(facts, minutes=10, seconds=lambda _tables: 0.5)
    assert recipe.schedule.warmup_epochs * 4500 == pytest.approx(0.1 * 0.97 * 600 / 0.5, rel=0.02)
    assert reasons(plan)["train.minutes"] == "1,200 steps here, and a pass over the cases takes 4,500: give it more"

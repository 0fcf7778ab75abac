"""Recipes that are right, to be spoilt by tests."""

SEGMENTATION = """\
name = "atrium"
task = "segmentation"

[data]
source = "left_atrium"
root = "left_atrium"
size = [112, 112, 80]

[model]
name = "unet3d"

[loss]
name = "dice"

[train]
epochs = 3
batch_size = 2
"""

CLASSIFICATION = """\
name = "skin"
task = "classification"
seed = 7

[data]
source = "isic2018"
root = "isic2018"
size = [224, 224]
classes = ["MEL", "NV"]

[model]
name = "resnet50"
pretrained = true

[loss]
name = "cross_entropy_focal"

[optimizer]
lr = 1e-3

[train]
epochs = 3
batch_size = 32
"""


def line_of(text: str, piece: str) -> int:
    """The line, counted from 1, on which ``piece`` stands."""
    return text[: text.index(piece)].count("\n") + 1

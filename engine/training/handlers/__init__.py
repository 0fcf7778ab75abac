"""What happens around the trainer, one behaviour a file, each with ``attach(trainer)``.

The order in which ``training.loop`` attaches them is the order in which they act on one event.
"""

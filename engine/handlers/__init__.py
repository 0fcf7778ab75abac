"""What happens around the trainer, one behaviour a file, each with ``attach(trainer)``.

The order in which ``run.py`` attaches them is the order in which they act on one event.
"""

"""Several processes as one run: who is who, sums and lists over all of them, and how they begin and end together.

``torchrun`` and ``srun`` start the processes, or process 0 starts the others (``--nproc``). Process 0 writes the
run folder and decides; the others compute their share of every batch and of every split. They talk by gloo, and
sum gradients by NCCL where each has a GPU of its own.
"""

from engine.distributed.sums import (
    add_up,
    among,
    broadcast,
    gather,
    rank,
    share_buffers,
    sum_gradients,
    use_device,
    whole_batch,
    world,
)
from engine.distributed.together import cause_of, neighbours, together

"""PyTorch's words for several processes, on one machine or many: `init_process_group`, `all_reduce`, and so on.

One process needs nothing: in a group of one every sum, broadcast or gathering is what this process has. More of them
exchange numbers by JAX (the extra `xla`): Gloo between processors, NCCL between GPUs. Their number comes from
`world_size`, the address (`tcp://…?world_size=2`) or, as `chainrule launch` sets it, the environment (`WORLD_SIZE`).

A process that dies is named by the others, in an error, wherever they are waiting for it: see `coordinator.py`.
"""

from __future__ import annotations

from chainrule.distributed.beginning import init_process_group
from chainrule.distributed.collectives import (
    ReduceOp,
    Work,
    all_gather,
    all_gather_into_tensor,
    all_reduce,
    all_to_all,
    all_to_all_single,
    barrier,
    broadcast,
    gather,
    monitored_barrier,
    reduce,
    reduce_scatter,
    reduce_scatter_tensor,
    scatter,
)
from chainrule.distributed.group import (
    GroupMember,
    ProcessGroup,
    ProcessGroupError,
    destroy_process_group,
    get_backend,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    is_available,
    is_gloo_available,
    is_initialized,
    is_mpi_available,
    is_nccl_available,
    is_torchelastic_launched,
    new_group,
)
from chainrule.distributed.objects import (
    all_gather_object,
    broadcast_object_list,
    gather_object,
    scatter_object_list,
)
from chainrule.distributed.pairs import P2POp, batch_isend_irecv, irecv, isend, recv, send

__all__ = [
    "GroupMember", "P2POp", "ProcessGroup", "ProcessGroupError", "ReduceOp", "Work", "all_gather",
    "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all", "all_to_all_single", "barrier",
    "batch_isend_irecv", "broadcast", "broadcast_object_list", "destroy_process_group", "gather", "gather_object",
    "get_backend", "get_global_rank", "get_group_rank", "get_node_local_rank", "get_process_group_ranks", "get_rank",
    "get_world_size", "group", "init_process_group", "irecv", "is_available", "is_gloo_available", "is_initialized",
    "is_mpi_available", "is_nccl_available", "is_torchelastic_launched", "isend", "monitored_barrier", "new_group",
    "recv", "reduce", "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
]  # fmt: skip

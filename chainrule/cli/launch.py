"""`chainrule launch`: a script as several processes, on one machine or several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def launch(
    script: Annotated[str, typer.Argument(help="A script (or -m MODULE).")],
    arguments: Annotated[list[str] | None, typer.Argument(help="The script's own.")] = None,
    processes: Annotated[int, typer.Option("--processes", "-n", min=1, help="How many on this machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="How many machines there are.")] = 1,
    node_rank: Annotated[int, typer.Option(min=0, help="Which one this is; 0 is the first.")] = 0,
    master_addr: Annotated[str, typer.Option(help="The name or the address of the first machine.")] = "127.0.0.1",
    master_port: Annotated[int, typer.Option(min=1, max=65535, help="A free port of the first machine.")] = 29500,
    module: Annotated[bool, typer.Option("--module", "-m", help="SCRIPT is a module, as in python -m.")] = False,
) -> int:
    r"""Run a script as several processes, which find each other by distributed.init_process_group().

    Each line that they print begins with the rank. If one dies, the launcher says which, ends all others (on all
    machines), and its exit code is not 0. Needs the extra: pip install 'chainrule\[xla]'.

    [bold]Examples[/]

      chainrule launch -n 4 train.py --epochs 3
      chainrule launch -n 2 -m chainrule train lenet5 --data digits
      chainrule launch -n 8 --nodes 2 --node-rank 0 --master-addr 10.0.0.1 train.py   (on 10.0.0.1)
      chainrule launch -n 8 --nodes 2 --node-rank 1 --master-addr 10.0.0.1 train.py   (on the second machine)
    """
    from chainrule.distributed.launching import Job, run

    if node_rank >= nodes:
        raise ValueError(f"--node-rank is 0 to {nodes - 1} with --nodes {nodes}, got {node_rank}.")
    if not module and not Path(script).exists():
        raise ValueError(f"there is no script {script}.")
    command = [sys.executable, *(["-m"] if module else []), script, *(arguments or [])]
    return run(Job(command, processes, nodes, node_rank, master_addr, master_port))

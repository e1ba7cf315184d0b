"""Worlds on a grid: the Gridworld of the class notes, a walk along a cliff, a frozen lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.mdp import MDP

Cell = tuple[int, int]

#: What each arrow does to (row, column).
MOVES: dict[str, Cell] = {"←": (0, -1), "→": (0, 1), "↑": (-1, 0), "↓": (1, 0)}


class Gridworld(MDP):
    """Cells of a grid as states, a step in one of four directions as actions; a step off the grid or into a wall stays.

    The class notes' grid (E 8.2.2) is 5×5 and gives −1 for each step: the best policy is a shortest path to a terminal
    cell. Which cells are terminal the notes leave open; here they are a parameter. Cells are (row, column) from (0, 0)
    at the top left to (4, 4); the notes count 1 to 5. State number = row · columns + column.

    Args:
        shape: rows and columns.
        terminals: cells where the episode ends.
        walls: cells that nobody can enter. They stay states, terminal ones with the value 0, so that values lie on the
            grid.
        step_reward: for each step.
        rewards: for entering a cell, by cell: added to the step's.
        wind: for each column, how many cells upwards a step that begins there is blown, after the move (Sutton and
            Barto, example 6.5).
        slip: the probability that the step goes to one side instead, half to the left of it and half to the right.
        jumps: for entering a cell: where one is put instead, by cell, as a cliff puts one at the start.
        gamma: the discount.
        start: a cell; unless given, every cell that is not terminal is equally likely.
        arrows: the actions in their order.

    Attributes:
        shape, walls: as above.

    Raises ValueError for cells that are not on the grid or are walls, and for settings out of range.

    >>> grid = Gridworld(terminals=[(0, 0), (4, 4)])
    >>> from chainrule.rl import policy_values, value_iteration
    >>> float(policy_values(grid)[grid.state(0, 1)].round(3))       # a random walk takes 23 steps on average
    -23.0
    >>> grid.on_grid(value_iteration(grid).v).astype(int)
    array([[ 0, -1, -2, -3, -4],
           [-1, -2, -3, -4, -3],
           [-2, -3, -4, -3, -2],
           [-3, -4, -3, -2, -1],
           [-4, -3, -2, -1,  0]])
    """

    def __init__(
        self,
        shape: Cell = (5, 5),
        *,
        terminals: Sequence[Cell] = ((0, 0), (4, 4)),
        walls: Sequence[Cell] = (),
        step_reward: float = -1.0,
        rewards: Mapping[Cell, float] | None = None,
        wind: Sequence[int] = (),
        slip: float = 0.0,
        jumps: Mapping[Cell, Cell] | None = None,
        gamma: float = 1.0,
        start: Cell | None = None,
        arrows: str = "←→↑↓",
    ) -> None:
        self.shape, self.walls = shape, frozenset(walls)
        self._jumps, self._wind = dict(jumps or {}), tuple(wind) or (0,) * shape[1]
        extra = dict(rewards or {})
        places = {
            "terminals": terminals,
            "walls": walls,
            "rewards": extra,
            "jumps": [*self._jumps, *self._jumps.values()],
        }
        for what, cells in places.items():
            self._check_cells(what, cells, may_be_walls=what == "walls")
        if start is not None:
            self._check_cells("start", [start])
        if len(self._wind) != shape[1] or not 0 <= slip <= 1 or sorted(arrows) != sorted(MOVES):
            raise ValueError(
                f"wind has a number for each of {shape[1]} columns, slip is a probability and arrows are "
                f"{''.join(MOVES)} in some order; got wind={self._wind}, slip={slip}, arrows={arrows!r}."
            )
        count = shape[0] * shape[1]
        P, R = np.zeros((count, 4, count)), np.zeros((count, 4, count))
        for s in range(count):
            for a, arrow in enumerate(arrows):
                for probability, direction in _ways(arrow, slip):
                    entered = self._entered(self.cell(s), direction)
                    to = self.state(*self._jumps.get(entered, entered))
                    P[s, a, to] += probability
                    R[s, a, to] += probability * (step_reward + extra.get(entered, 0.0))
        R = np.divide(R, P, out=np.zeros_like(R), where=P > 0)  # the mean, given where the step led
        super().__init__(
            P, R, gamma, terminal=sorted({self.state(*cell) for cell in [*terminals, *walls]}),
            start=None if start is None else self.state(*start),
            states=[self.cell(s) for s in range(count)], actions=list(arrows),
        )  # fmt: skip

    def state(self, row: int, column: int) -> int:
        """The number of a cell. Raises ValueError for one that is not on the grid."""
        self._check_cells("state", [(row, column)], may_be_walls=True)
        return row * self.shape[1] + column

    def cell(self, state: int) -> Cell:
        """The cell (row, column) of a state. Raises ValueError for a number that is none's."""
        count = self.shape[0] * self.shape[1]
        if not 0 <= state < count:
            raise ValueError(f"cell: the states of this grid are 0 to {count - 1}, got {state}.")
        return divmod(int(state), self.shape[1])

    def on_grid(self, values: Any) -> Array:
        """Values (S,) as they lie on the grid, (rows, columns)."""
        return np.asarray(values).reshape(self.shape)

    def unreachable(self) -> list[int]:
        """The states that no policy ever comes to from the start, besides cells that jumps leave at once."""
        return [state for state in super().unreachable() if self.cell(state) not in self._jumps]

    def distances(self) -> Array:
        """Steps of a shortest path from each cell to a terminal one, (S,); infinity if there is none.

        Walls have 0. Found by breadth-first search. Without wind, slips and jumps the best policy's values at γ = 1
        and −1 a step are minus these.
        """
        found = np.where(self.terminal, 0.0, np.inf)
        border, steps = np.flatnonzero(self.terminal & [self.cell(s) not in self.walls for s in range(len(found))]), 0
        while len(border):
            steps += 1
            leads = (self.P[:, :, border] > 0).any((1, 2))
            border = np.flatnonzero(leads & np.isinf(found))
            found[border] = steps
        return found

    def _entered(self, cell: Cell, direction: str) -> Cell:
        """Where a step leads: a cell forwards, then upwards with the wind, as far as grid and walls let one."""
        for move in [MOVES[direction], *[MOVES["↑"]] * self._wind[cell[1]]]:
            following = cell[0] + move[0], cell[1] + move[1]
            if following in self.walls or not self._is_on_grid(following):
                continue
            cell = following
        return cell

    def _is_on_grid(self, cell: Cell) -> bool:
        return 0 <= cell[0] < self.shape[0] and 0 <= cell[1] < self.shape[1]

    def _check_cells(self, what: str, cells: Any, may_be_walls: bool = False) -> None:
        for cell in cells:
            if not self._is_on_grid(cell) or (cell in self.walls and not may_be_walls):
                rows, columns = self.shape
                why = "is a wall" if self._is_on_grid(cell) else f"is not on the grid of {rows}×{columns}"
                raise ValueError(f"{what}: the cell {cell} {why}. Cells are (row, column), counted from (0, 0).")


def _ways(arrow: str, slip: float) -> list[tuple[float, str]]:
    """Where a step may go, with probabilities: forwards and, where it slips, to both sides."""
    sides = "↑↓" if arrow in "←→" else "←→"
    ways = [(1 - slip, arrow), (slip / 2, sides[0]), (slip / 2, sides[1])]
    return [(probability, direction) for probability, direction in ways if probability > 0]


def cliff_walking(gamma: float = 1.0) -> Gridworld:
    """4×12 cells, from the lower left corner to the lower right one; between them a cliff: −100 and back to the start.

    The states, actions and rewards of Gymnasium's CliffWalking. Along the cliff is shortest, and SARSA, which counts
    its own exploring steps, keeps away from it where Q-learning does not.

    Source: Sutton and Barto, "Reinforcement learning: an introduction", example 6.6.

    >>> from chainrule.rl import value_iteration
    >>> grid = cliff_walking()
    >>> float(value_iteration(grid).v[grid.state(3, 0)])
    -13.0
    """
    cliff = [(3, column) for column in range(1, 11)]
    return Gridworld(
        (4, 12), terminals=[(3, 11)], jumps=dict.fromkeys(cliff, (3, 0)), rewards=dict.fromkeys(cliff, -99.0),
        gamma=gamma, start=(3, 0), arrows="↑→↓←",
    )  # fmt: skip


#: S start, F frozen, H a hole, G the goal.
LAKES = {
    "4x4": ("SFFF", "FHFH", "FFFH", "HFFG"),
    "8x8": ("SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"),
}


def frozen_lake(lake: str | Sequence[str] = "4x4", *, slippery: bool = True, gamma: float = 0.99) -> Gridworld:
    """Over the ice to the goal: 1 for coming there, 0 for everything else; the episode ends there and in holes.

    On slippery ice only one step in three goes where it should, the others to the sides. The states, actions, chances
    and rewards of Gymnasium's FrozenLake.

    lake: "4x4", "8x8", or rows of letters: S start, F frozen, H a hole, G the goal. Raises ValueError for others.

    >>> frozen_lake(slippery=False).shape
    (4, 4)
    """
    rows = LAKES.get(lake) if isinstance(lake, str) else tuple(lake)
    if not rows or {len(row) for row in rows} != {len(rows[0])} or set("".join(rows)) - set("SFHG"):
        raise ValueError(
            f"a lake is one of {', '.join(LAKES)}, or rows of equal length of the letters S, F, H and G; got {lake!r}."
        )
    letters = [((i, j), letter) for i, row in enumerate(rows) for j, letter in enumerate(row)]
    places = {kind: [cell for cell, letter in letters if letter == kind] for kind in "SHG"}
    if len(places["S"]) != 1 or not places["G"]:
        raise ValueError(
            f"a lake has one start S and at least one goal G, got {len(places['S'])} and {len(places['G'])}."
        )
    return Gridworld(
        (len(rows), len(rows[0])), terminals=[*places["H"], *places["G"]], step_reward=0.0,
        rewards=dict.fromkeys(places["G"], 1.0), slip=2 / 3 if slippery else 0.0, gamma=gamma, start=places["S"][0],
        arrows="←↓→↑",
    )  # fmt: skip

"""Pictures: values and policies on the grid, sweeps as a film, the classic tasks, and all of it as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.figures import new_figure, pixels_of
from chainrule.files import write_atomically
from chainrule.rl.episode import Array
from chainrule.rl.mdp import MDP
from chainrule.rl.planning import best_actions
from chainrule.rl.worlds.control import Acrobot, CartPole, MountainCar, Pendulum, Physics
from chainrule.rl.worlds.gridworld import MOVES, Gridworld

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of pictures.
PAPER, INK, MARK, WALL, GOAL = "#ffffff", "#333333", "#0072b2", "#555555", "#e6e6e6"
WIDTH, HEIGHT = 300, 200


def _arrows(grid: Gridworld, policy: Any) -> list[str]:
    """The arrows of each state: of a policy (S,) or (S, A), or all best ones of action values (S, A)."""
    given = np.asarray(policy)
    if given.ndim == 1:
        chosen = np.eye(4, dtype=bool)[given.astype(int)]
    elif (given >= 0).all() and np.allclose(given.sum(1), 1):
        chosen = given > 1e-9
    else:
        chosen = best_actions(given)
    return [
        "" if grid.terminal[s] else "".join(a for a, c in zip(grid.actions, row) if c) for s, row in enumerate(chosen)
    ]


def grid_text(grid: Gridworld, v: Any = None, policy: Any = None, digits: int = 2) -> str:
    """Values and policy as text, for the terminal. T is a terminal cell, # a wall.

    policy: actions (S,), probabilities (S, A), or action values (S, A), of which all best actions are shown.

    >>> from chainrule.rl import value_iteration
    >>> solution = value_iteration(Gridworld((3, 3), terminals=[(0, 0)], walls=[(1, 1)]))
    >>> print(grid_text(Gridworld((3, 3), terminals=[(0, 0)], walls=[(1, 1)]), solution.v, solution.q))
      T 0.00    -1.00 ←    -2.00 ←
     -1.00 ↑       #       -3.00 ↑
     -2.00 ↑    -3.00 ←   -4.00 ←↑
    """
    arrows = [""] * len(grid.states) if policy is None else _arrows(grid, policy)
    cells = []
    for s, cell in enumerate(grid.states):
        value = "" if v is None else f"{v[s]:.{digits}f}"
        mark = "T " if grid.terminal[s] else ""
        cells.append("#" if cell in grid.walls else f"{mark}{value} {arrows[s]}".strip() or ".")
    width = max(len(cell) for cell in cells) + 2
    columns = grid.shape[1]
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return "\n".join(" ".join(f"{cell:^{width}}" for cell in row).rstrip() for row in rows)


def draw_grid(
    grid: Gridworld, v: Any = None, policy: Any = None, *, axes: Axes | None = None, digits: int = 2, title: str = "",
    limits: tuple[float, float] | None = None,
) -> Axes:  # fmt: skip
    """Values as colours and numbers, and a policy as arrows; returns the Matplotlib axes, new ones unless given.

    policy: actions (S,), probabilities (S, A), or action values (S, A), of which all best actions are drawn. limits:
    the values of the darkest and the lightest colour.
    """
    axes = _new_axes(grid.shape) if axes is None else axes
    rows, columns = grid.shape
    shown = np.full(len(grid.states), np.nan) if v is None else np.array(v, float)
    shown[[cell in grid.walls for cell in grid.states]] = np.nan
    inside = shown[np.isfinite(shown)]
    low, high = limits or ((inside.min(), inside.max()) if len(inside) else (0.0, 1.0))
    axes.imshow(shown.reshape(grid.shape), cmap="viridis", vmin=low, vmax=high if high > low else low + 1)
    arrows = [""] * len(shown) if policy is None else _arrows(grid, policy)
    for s, (i, j) in enumerate(grid.states):
        if (i, j) in grid.walls:
            axes.add_patch(_square(i, j, WALL))
            continue
        light = np.isfinite(shown[s]) and (shown[s] - low) > 0.6 * (high - low)
        colour = "black" if light or v is None else "white"
        if v is not None:
            axes.text(j, i, f"{shown[s]:.{digits}f}", ha="center", va="center", color=colour, fontsize=8)
        if grid.terminal[s]:
            axes.add_patch(_square(i, j, "none", MARK))
        for arrow in arrows[s]:
            down, right = MOVES[arrow]
            axes.annotate(
                "", (j + 0.45 * right, i + 0.45 * down), (j + 0.25 * right, i + 0.25 * down),
                arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.0},
            )  # fmt: skip
    axes.set(xticks=range(columns), yticks=range(rows), title=title)
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    return axes


def _new_axes(shape: tuple[int, int]) -> Axes:
    return new_figure(0.8 * shape[1] + 0.4, 0.8 * shape[0] + 0.6, 100).subplots()


def _square(row: int, column: int, face: str, edge: str = "none") -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=face, edgecolor=edge, linewidth=2.5)


def sweep_frames(grid: Gridworld, sweeps: Sequence[Any], *, digits: int = 2) -> list[Array]:
    """A picture (H, W, 3) for each sweep of value iteration or policy evaluation, all in the same colours.

    >>> from chainrule.rl import value_iteration
    >>> grid = Gridworld()
    >>> len(sweep_frames(grid, value_iteration(grid).sweeps))
    6
    """
    limits = float(min(np.min(v) for v in sweeps)), float(max(np.max(v) for v in sweeps))
    frames = []
    for number, v in enumerate(sweeps):
        axes = draw_grid(grid, v, title=f"after {number} sweeps", digits=digits, limits=limits)
        frames.append(pixels_of(axes.figure))
    return frames


def save_gif(frames: Sequence[Array], path: str | Path, *, frames_per_second: float = 30.0) -> None:
    """Write pictures (H, W, 3) uint8 of one size as an animated GIF, which is shown again and again. Atomic.

    Raises ValueError for no pictures.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("a film has at least one picture.")
    images = [Image.fromarray(np.asarray(frame)).quantize(32) for frame in frames]
    milliseconds = max(20, round(1000 / frames_per_second))  # many players show nothing faster than 50 a second

    def write(temporary: Path) -> None:
        images[0].save(temporary, format="GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)

    write_atomically(path, write)


def picture_text(picture: Array, columns: int = 78) -> str:
    """A picture as text of half blocks in 24-bit colours, two rows of pixels in a line, for terminals.

    >>> len(picture_text(np.zeros((20, 30, 3), np.uint8), columns=12).splitlines())
    4
    """
    from PIL import Image

    height = max(2, round(picture.shape[0] / picture.shape[1] * columns))
    small = np.asarray(Image.fromarray(picture).resize((columns, height + height % 2), Image.Resampling.BOX)).tolist()
    lines = []
    for top, bottom in zip(small[::2], small[1::2]):
        pairs = (f"\x1b[38;2;{a};{b};{c}m\x1b[48;2;{d};{e};{f}m▀" for (a, b, c), (d, e, f) in zip(top, bottom))
        lines.append("".join(pairs) + "\x1b[0m")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------- environments


def grid_picture(mdp: MDP, state: int, side: int = 40) -> Array:
    """A grid (or, of another process, its states in a row) with a dot where one is, (H, W, 3) uint8."""
    rows, columns = mdp.shape if isinstance(mdp, Gridworld) else (1, len(mdp.states))
    walls = mdp.walls if isinstance(mdp, Gridworld) else frozenset()
    picture, pen = _canvas(columns * side, rows * side)
    for s in range(len(mdp.states)):
        i, j = divmod(s, columns)
        colour = WALL if (i, j) in walls else GOAL if mdp.terminal[s] else PAPER
        pen.rectangle((j * side, i * side, (j + 1) * side, (i + 1) * side), fill=colour, outline=INK)
    i, j = divmod(state, columns)
    _dot(pen, ((j + 0.5) * side, (i + 0.5) * side), 0.3 * side, MARK)
    return np.asarray(picture)


def control_picture(physics: Physics, state: Array, action: Any = None) -> Array:
    """A classic task as it stands, (200, 300, 3) uint8; a bar below shows the action, where there is one."""
    draw: dict[type[Physics], Any] = {
        CartPole: _cart_pole,
        MountainCar: _mountain_car,
        Pendulum: _pendulum,
        Acrobot: _acrobot,
    }
    picture, pen = _canvas(WIDTH, HEIGHT)
    draw[type(physics)](pen, physics, state)
    if action is not None:
        push = float(np.ravel(action)[0])
        n = getattr(physics.action_space, "n", None)
        share = push / 2 if n is None else 2 * push / (n - 1) - 1
        left, right = sorted((WIDTH / 2, WIDTH / 2 + 40 * max(-1.0, min(1.0, share))))
        pen.rectangle((left, HEIGHT - 6, right, HEIGHT - 2), fill=MARK)
    return np.asarray(picture)


def _canvas(width: int, height: int) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), PAPER)
    return picture, ImageDraw.Draw(picture)


def _dot(pen: Any, centre: tuple[float, float], radius: float, colour: str) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _rod(pen: Any, start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """A rod from a joint, its angle counted from upright to the right; where it ends."""
    end = start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)
    pen.line((*start, *end), fill=MARK, width=7)
    _dot(pen, start, 5, INK)
    return end


def _cart_pole(pen: Any, physics: CartPole, state: Array) -> None:
    scale, ground = WIDTH / (2 * physics.furthest), 150
    x = WIDTH / 2 + scale * state[0]
    pen.line((0, ground, WIDTH, ground), fill=INK)
    pen.rectangle((x - 20, ground - 12, x + 20, ground + 12), fill=INK)
    _rod(pen, (x, ground - 12), state[2], 2 * physics.half_length * scale * 1.5)


def _mountain_car(pen: Any, physics: MountainCar, state: Array) -> None:
    def place(x: Any) -> tuple[float, float]:
        return (x - physics.left) / (physics.right - physics.left) * WIDTH, 180 - 65 * (math.sin(3 * x) + 1)

    pen.line([place(x) for x in np.linspace(physics.left, physics.right, 100)], fill=INK, width=2)
    x, y = place(physics.goal)
    pen.line((x, y, x, y - 30), fill=INK, width=2)
    pen.polygon([(x, y - 30), (x + 14, y - 25), (x, y - 20)], fill="#d55e00")
    x, y = place(state[0])
    _dot(pen, (x, y - 8), 8, MARK)


def _pendulum(pen: Any, physics: Pendulum, state: Array) -> None:
    _rod(pen, (WIDTH / 2, HEIGHT / 2), state[0] * -1, 75)


def _acrobot(pen: Any, physics: Acrobot, state: Array) -> None:
    middle, length = (WIDTH / 2, HEIGHT / 2), 45
    pen.line((0, middle[1] - length, WIDTH, middle[1] - length), fill="#d55e00")  # the height to be reached
    joint = _rod(pen, middle, math.pi - state[0], length)
    _rod(pen, joint, math.pi - state[0] - state[1], length)

"""The four classic tasks of control, as formulas: what moves, what is seen, what it earns, when it ends.

Each is a `Physics`: functions of arrays of states (N, D), so one world and a thousand are the same code.
`ControlEnvironment` puts Gymnasium's interface around one, `ControlEnvironments` around N at once. All numbers equal
Gymnasium's (tests/test_rl_control.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from chainrule.rl.episode import Array
from chainrule.rl.spaces import Box, Discrete

Step = tuple[Array, Array, Array]


class Physics:
    """How a world moves.

    Attributes:
        name, max_steps: Gymnasium's name, and the steps after which an episode is truncated.
        observation_space, action_space: what is seen and what can be done.
    """

    name: ClassVar[str] = ""
    max_steps: ClassVar[int] = 0
    observation_space: Box
    action_space: Discrete | Box

    def draw(self, count: int, random: np.random.Generator, options: Mapping[str, Any]) -> Array:
        """First states (N, D)."""
        raise NotImplementedError

    def observe(self, state: Array) -> Array:
        """What is seen of states: (N, …) float32."""
        return state.astype(np.float32)

    def advance(self, state: Array, action: Array) -> Step:
        """The next states (N, D), rewards (N,), and which worlds have ended (N,)."""
        raise NotImplementedError


def _uniform(low: float, high: float, options: Mapping[str, Any]) -> tuple[float, float]:
    """The range of first states, which the options "low" and "high" change, as in Gymnasium."""
    low, high = float(options.get("low", low)), float(options.get("high", high))
    if low > high:
        raise ValueError(f"low is at most high, got {low} and {high}.")
    return low, high


def _rows(*columns: Array) -> Array:
    """Columns (N,) side by side, (N, D)."""
    return np.array(columns).T.copy()  # np.stack would take longer than the physics of one world


class CartPole(Physics):
    """Balance a pole on a cart by pushing it left (0) or right (1); 1 for each step.

    State and observation: place x, speed, angle θ (0 is upright), angular speed. It ends where |x| > 2.4 or |θ| > 12°,
    and after 500 steps it is cut off. The angle's acceleration, for a pole of mass m and half length l on a cart that
    makes M together with it, under the push F:

        θ̈ = (g·sin θ − cos θ·u) / (l·(4/3 − m·cos²θ/M)),  u = (F + m·l·θ̇²·sin θ)/M,  ẍ = u − m·l·θ̈·cos θ/M

    in steps of 20 ms by Euler's method.

    Source: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control
    problems", 1983; Florian, "Correct equations for the dynamics of the cart-pole system", 2007.
    """

    name, max_steps = "CartPole-v1", 500
    gravity, total_mass, pole_mass, half_length, push, seconds = 9.8, 1.1, 0.1, 0.5, 10.0, 0.02
    furthest, steepest = 2.4, 12 * math.pi / 180

    def __init__(self) -> None:
        high = np.array([2 * self.furthest, np.inf, 2 * self.steepest, np.inf], np.float32)
        self.observation_space, self.action_space = Box(-high, high), Discrete(2)

    def draw(self, count: int, random: np.random.Generator, options: Mapping[str, Any]) -> Array:
        """All four uniform in ±0.05."""
        return random.uniform(*_uniform(-0.05, 0.05, options), (count, 4))

    def advance(self, state: Array, action: Array) -> Step:
        """Push for one step."""
        _, speed, angle, turning = state.T
        force = self.push * (2.0 * action - 1.0)
        sine, cosine = np.sin(angle), np.cos(angle)
        lever = self.pole_mass * self.half_length
        u = (force + lever * turning**2 * sine) / self.total_mass
        bend = (self.gravity * sine - cosine * u) / (
            self.half_length * (4 / 3 - self.pole_mass * cosine**2 / self.total_mass)
        )
        rate = u - lever * bend * cosine / self.total_mass
        following = state + self.seconds * _rows(speed, rate, turning, bend)
        ended = (abs(following[:, 0]) > self.furthest) | (abs(following[:, 2]) > self.steepest)
        return following, np.ones(len(state)), ended


class MountainCar(Physics):
    """A car in a valley, too weak to climb out: gather speed. Left (0), nothing (1), right (2); −1 for each step.

    State and observation: place x in [−1.2, 0.6] and speed v in ±0.07, v ← v + 0.001·(a − 1) − 0.0025·cos 3x. It ends
    where x ≥ 0.5; after 200 steps it is cut off.

    Source: Moore, "Efficient memory-based learning for robot control", 1990.
    """

    name, max_steps = "MountainCar-v0", 200
    left, right, fastest, goal, force, gravity = -1.2, 0.6, 0.07, 0.5, 0.001, 0.0025

    def __init__(self) -> None:
        self.observation_space = Box([self.left, -self.fastest], [self.right, self.fastest])
        self.action_space = Discrete(3)

    def draw(self, count: int, random: np.random.Generator, options: Mapping[str, Any]) -> Array:
        """At rest, uniform in [−0.6, −0.4]."""
        place = random.uniform(*_uniform(-0.6, -0.4, options), count)
        return _rows(place, np.zeros(count))

    def advance(self, state: Array, action: Array) -> Step:
        """Drive for one step; the left end is a wall that stops the car."""
        place, speed = state.T
        speed = speed + (action - 1) * self.force - np.cos(3 * place) * self.gravity
        speed = np.clip(speed, -self.fastest, self.fastest)
        place = np.clip(place + speed, self.left, self.right)
        speed = np.where((place == self.left) & (speed < 0), 0.0, speed)
        ended = (place >= self.goal) & (speed >= 0)
        return _rows(place, speed), np.full(len(state), -1.0), ended


class Pendulum(Physics):
    """Swing a pendulum up and hold it there by a torque in ±2; the reward is −(θ² + 0.1·θ̇² + 0.001·u²), θ in ±π.

    State: angle θ (0 is upright) and angular speed in ±8; observation: cos θ, sin θ, θ̇. The rod of length and mass 1:
    θ̇ ← θ̇ + (15·sin θ + 3·u)·0.05. Episodes never end and are cut off after 200 steps.
    """

    name, max_steps = "Pendulum-v1", 200
    gravity, fastest, strongest, seconds = 10.0, 8.0, 2.0, 0.05

    def __init__(self) -> None:
        high = np.array([1.0, 1.0, self.fastest])
        self.observation_space, self.action_space = Box(-high, high), Box([-self.strongest], [self.strongest])

    def draw(self, count: int, random: np.random.Generator, options: Mapping[str, Any]) -> Array:
        """Any angle, speed in ±1; the options "x_init" and "y_init" are other bounds, as in Gymnasium."""
        high = np.array([float(options.get("x_init", np.pi)), float(options.get("y_init", 1.0))])
        return random.uniform(-high, high, (count, 2))

    def observe(self, state: Array) -> Array:
        """The angle as a point on the circle, and its speed."""
        angle, turning = state.T
        return _rows(np.cos(angle), np.sin(angle), turning).astype(np.float32)

    def advance(self, state: Array, action: Array) -> Step:
        """Turn for one step. A torque beyond ±2 counts as ±2."""
        angle, turning = state.T
        torque = np.clip(action.reshape(len(state)), -self.strongest, self.strongest)
        from_top = (angle + np.pi) % (2 * np.pi) - np.pi
        cost = from_top**2 + 0.1 * turning**2 + 0.001 * torque**2
        turning = turning + (1.5 * self.gravity * np.sin(angle) + 3.0 * torque) * self.seconds
        turning = np.clip(turning, -self.fastest, self.fastest)
        return _rows(angle + turning * self.seconds, turning), -cost, np.zeros(len(state), bool)


class Acrobot(Physics):
    """Two rods in a chain, driven at the joint between them (torque −1, 0, 1): swing the end up to height 1.

    State: angles θ₁ (0 hangs down) and θ₂ (relative to the first rod) and their speeds, in ±4π and ±9π; observation:
    cos θ₁, sin θ₁, cos θ₂, sin θ₂ and the speeds. −1 for each step, 0 for the last. It ends where
    −cos θ₁ − cos(θ₁ + θ₂) > 1; after 500 steps it is cut off. Runge and Kutta's method in steps of 0.2 s.

    Source: Sutton, "Generalization in reinforcement learning: successful examples using sparse coarse coding", 1996;
    equations as in Sutton and Barto's book.
    """

    name, max_steps = "Acrobot-v1", 500
    gravity, seconds = 9.8, 0.2
    fastest = np.array([4 * np.pi, 9 * np.pi])

    def __init__(self) -> None:
        high = np.concatenate([np.ones(4), self.fastest])
        self.observation_space, self.action_space = Box(-high, high), Discrete(3)

    def draw(self, count: int, random: np.random.Generator, options: Mapping[str, Any]) -> Array:
        """All four uniform in ±0.1."""
        first = random.uniform(*_uniform(-0.1, 0.1, options), (count, 4))
        return first.astype(np.float32).astype(float)  # Gymnasium's first states are rounded so

    def observe(self, state: Array) -> Array:
        """Both angles as points on the circle, and the speeds."""
        first, second, *speeds = state.T
        return _rows(np.cos(first), np.sin(first), np.cos(second), np.sin(second), *speeds).astype(np.float32)

    def advance(self, state: Array, action: Array) -> Step:
        """Swing for one step."""
        torque, h = np.asarray(action) - 1.0, self.seconds
        k1 = self.derivative(state, torque)
        k2 = self.derivative(state + h / 2 * k1, torque)
        k3 = self.derivative(state + h / 2 * k2, torque)
        k4 = self.derivative(state + h * k3, torque)
        following = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        angles, speeds = following[:, :2], following[:, 2:]
        # into [−π, π], where Gymnasium leaves both ends as they are
        turned = np.where(abs(angles) > np.pi, np.pi - (np.pi - angles) % (2 * np.pi), angles)
        following = np.concatenate([turned, np.clip(speeds, -self.fastest, self.fastest)], 1)
        ended = -np.cos(following[:, 0]) - np.cos(following[:, 0] + following[:, 1]) > 1
        return following, np.where(ended, 0.0, -1.0), ended

    def derivative(self, state: Array, torque: Array) -> Array:
        """(θ̇₁, θ̇₂, θ̈₁, θ̈₂), rods of mass, length and moment of inertia 1, their centres of mass in the middle."""
        first, second, speed1, speed2 = state.T
        cosine, sine, g = np.cos(second), np.sin(second), self.gravity
        d1 = 0.25 + (1 + 0.25 + cosine) + 2
        d2 = 0.25 + 0.5 * cosine + 1
        phi2 = 0.5 * g * np.cos(first + second - np.pi / 2)
        phi1 = -0.5 * speed2**2 * sine - speed2 * speed1 * sine + 1.5 * g * np.cos(first - np.pi / 2) + phi2
        bend2 = (torque + d2 / d1 * phi1 - 0.5 * speed1**2 * sine - phi2) / (0.25 + 1 - d2**2 / d1)
        bend1 = -(d2 * bend2 + phi1) / d1
        return _rows(speed1, speed2, bend1, bend2)

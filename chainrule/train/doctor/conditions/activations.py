"""What can go wrong in activations: ReLUs that never fire, sigmoids and tanhs that no longer answer."""

from __future__ import annotations

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import RANGES, Look
from chainrule.train.doctor.rule import Rule


class DyingReLU(Rule):
    """Units that give zero for every sample."""

    condition = "dying ReLU"
    share, looks, fewest = 0.5, 3, 4
    shows = (
        f"More than {share:.0%} of a layer's units (channels; at least {fewest}) behind ReLU were at 0 for every "
        f"sample of the last {looks} batches looked at. (A unit at rest for some samples is what ReLU is for.)"
    )
    cause = (
        "A large step, or first weights or biases far below zero, pushed the units to where their input is negative "
        "for every sample. There the derivative is 0, so no gradient brings them back."
    )
    remedies = (
        "a smaller learning rate, or a warm-up",
        "LeakyReLU, PReLU or ELU instead of ReLU",
        "Kaiming initialisation, biases at 0",
        "normalise before the ReLU",
    )
    source = "I II.2.d–e; T 3"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Count for each unit for how many looks it has been silent."""
        silent: dict[str, list[int]] = self.memory.get("silent", {})
        now = {}
        for path, fired in look.fired.items():
            before = silent.get(path, [])
            before = before if len(before) == len(fired) else [0] * len(fired)
            now[path] = [0 if fires else count + 1 for fires, count in zip(fired.tolist(), before, strict=True)]
        self.memory["silent"] = now
        dead = {path: sum(count >= self.looks for count in counts) for path, counts in now.items()}
        layers = {path: counts for path, counts in now.items() if len(counts) >= self.fewest}
        paths = tuple(path for path, counts in layers.items() if dead[path] > self.share * len(counts))
        if not paths:
            return None
        listed = ", ".join(f"{dead[path]} of {len(now[path])} units of {path or 'the model'}" for path in paths)
        evidence = f"{listed} gave 0 for every sample of {self.looks} batches, up to batch {case.step}."
        return self.found(case, evidence, paths)


class Saturation(Rule):
    """Sigmoids or tanhs far out, where they are flat."""

    condition = "saturation"
    share = 0.8
    shows = (
        f"More than {share:.0%} of the entries that go into a sigmoid lie beyond ±{RANGES['sigmoid']:g}, or into a "
        f"tanh beyond ±{RANGES['tanh']:g}, in two looks in a row; the model's output itself does not count."
    )
    cause = (
        "The activations get inputs that are too large: weights drawn too wide or grown by large steps, or inputs not "
        "normalised. Out there the derivative is nearly 0, so hardly any gradient passes."
    )
    remedies = (
        "normalise the inputs, and between layers",
        "Xavier initialisation",
        "a smaller learning rate, or weight decay",
        "ReLU or a relative of it inside the network",
    )
    source = "I II.2.b–c; T 2"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Look at the share of entries out of range."""
        shares = dict(look.saturated)
        inner = list(shares)[:-1] if _ends_in_activation(case, shares) else list(shares)
        paths = tuple(path for path in inner if self.twice(path, shares[path] > self.share))
        if not paths:
            return None
        listed = ", ".join(f"{shares[path]:.0%} of {path or 'the model'}" for path in paths)
        return self.found(case, f"in batch {case.step} beyond the sensitive range: {listed}.", paths)


def _ends_in_activation(case: Case, shares: dict[str, float]) -> bool:
    """Whether the last sigmoid or tanh to run is the last module, which gives the output."""
    modules = [path for path, module in case.model.named_modules() if not list(module.children())]
    return bool(shares) and bool(modules) and list(shares)[-1] == modules[-1]

"""Every optimiser and every schedule with every option: for tests, and for the list of what is compared."""

from __future__ import annotations

from typing import Any

#: For each optimiser the settings to try, besides the parameters.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.05}, {"lr": 0.05, "momentum": 0.9}, {"lr": 0.02, "momentum": 0.9, "nesterov": True},
        {"lr": 0.02, "momentum": 0.8, "dampening": 0.3}, {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}, {"lr": 0.01, "maximize": True},
        {"lr": 0.02, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.0, "momentum": 0.9}, {"lr": 0.05, "dampening": 0.5}, {"lr": 0.05, "momentum": 0.9, "foreach": True},
        {"lr": 0.05, "momentum": 0.9, "fused": True},
    ],
    "Adam": [
        {}, {"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3}, {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "amsgrad": True}, {"lr": 0.01, "maximize": True}, {"lr": 0.02, "betas": (0.0, 0.0)},
        {"lr": 0.05, "betas": (0.9, 0.5), "eps": 0.1, "amsgrad": True},
        {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.05, "foreach": True},
    ],
    "AdamW": [
        {"lr": 0.05}, {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}, {"lr": 0.01, "maximize": True},
        {"lr": 0.05, "weight_decay": 0.0},
        {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1, "maximize": True, "betas": (0.7, 0.8)},
    ],
    "Adagrad": [
        {}, {"lr": 0.1}, {"lr": 0.1, "lr_decay": 0.05}, {"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5}, {"lr": 0.01, "maximize": True}, {"lr": 0.1, "foreach": True},
    ],
    "RMSprop": [
        {}, {"alpha": 0.9}, {"eps": 0.1}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"centered": True},
        {"centered": True, "momentum": 0.9, "weight_decay": 0.1}, {"lr": 0.001, "maximize": True}, {"foreach": True},
        {"alpha": 0.0},
    ],
    "Adadelta": [
        {}, {"lr": 0.5, "rho": 0.8}, {"eps": 0.01}, {"weight_decay": 0.1}, {"lr": 0.1, "maximize": True},
        {"rho": 0.0}, {"foreach": True},
    ],
    "Adamax": [
        {}, {"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 0.01}, {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.01, "maximize": True}, {"betas": (0.0, 0.0)}, {"foreach": True},
    ],
    "NAdam": [
        {}, {"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 0.01}, {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.05, "momentum_decay": 0.1},
        {"lr": 0.01, "maximize": True}, {"foreach": True}, {"momentum_decay": 0.0},
    ],
    "RAdam": [
        {}, {"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 0.01}, {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.01, "maximize": True},
        {"lr": 0.05, "betas": (0.9, 0.5)}, {"lr": 0.05, "betas": (0.9, 0.99)}, {"foreach": True},
    ],
    "ASGD": [
        {}, {"lr": 0.05}, {"lr": 0.05, "lambd": 0.1}, {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 10},
        # Not with foreach: PyTorch then computes the rates in float32, which shows in the ninth digit.
        {"lr": 0.05, "weight_decay": 0.1, "t0": 0}, {"lr": 0.01, "maximize": True},
    ],
    "Rprop": [
        {}, {"lr": 0.05}, {"etas": (0.3, 1.5)}, {"lr": 0.05, "step_sizes": (0.01, 0.06)}, {"maximize": True},
        {"foreach": True},
    ],
    "Adafactor": [
        {}, {"lr": 0.5}, {"lr": 0.5, "beta2_decay": -0.5}, {"lr": 0.5, "eps": (0.1, 0.5)}, {"lr": 0.5, "d": 2.0},
        {"lr": 0.2, "weight_decay": 0.1}, {"maximize": True}, {"foreach": True}, {"lr": 0.5, "eps": (None, 0.9)},
    ],
    "Muon": [
        {}, {"lr": 0.05}, {"lr": 0.05, "momentum": 0.5, "nesterov": False}, {"lr": 0.05, "weight_decay": 0.0},
        {"lr": 0.05, "ns_steps": 2, "eps": 1.0}, {"lr": 0.05, "ns_coefficients": (1.5, -0.5, 0.0), "ns_steps": 12},
        {"lr": 0.05, "adjust_lr_fn": "original"}, {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw"},
    ],
}  # fmt: skip

CASES = [(name, settings) for name, cases in OPTIONS.items() for settings in cases]

#: Schedules of an optimiser `o` with two groups, as text that is evaluated in both frameworks.
SCHEDULES = [
    "LambdaLR(o, lambda n: 0.9**n)", "LambdaLR(o, [lambda n: 1 / (n + 1), lambda n: 0.5 + n])",
    "MultiplicativeLR(o, lambda n: 0.95)", "MultiplicativeLR(o, [lambda n: 0.95, lambda n: 1 + 1 / (n + 1)])",
    "StepLR(o, 7)", "StepLR(o, step_size=1, gamma=0.8)", "StepLR(o, 100, 0.5)",
    "MultiStepLR(o, [3, 30, 10])", "MultiStepLR(o, [5, 5, 20], gamma=0.5)", "MultiStepLR(o, [])",
    "ConstantLR(o)", "ConstantLR(o, factor=0.5, total_iters=20)", "ConstantLR(o, 1.0, 4)",
    "LinearLR(o)", "LinearLR(o, start_factor=0.1, total_iters=30)", "LinearLR(o, 1.0, end_factor=0.0, total_iters=40)",
    "LinearLR(o, 0.7, 0.2, 11)", "ExponentialLR(o, 0.9)", "ExponentialLR(o, gamma=1.02)",
    "PolynomialLR(o)", "PolynomialLR(o, total_iters=30, power=2.5)", "PolynomialLR(o, 80, 0.5)",
    "CosineAnnealingLR(o, 10)", "CosineAnnealingLR(o, T_max=60, eta_min=0.001)", "CosineAnnealingLR(o, 1)",
    "CosineAnnealingLR(o, 7, 0.05)",
    "CosineAnnealingWarmRestarts(o, 10)", "CosineAnnealingWarmRestarts(o, 4, T_mult=2)",
    "CosineAnnealingWarmRestarts(o, T_0=3, T_mult=3, eta_min=0.01)",
    "CyclicLR(o, 0.01, 0.1, step_size_up=7)", "CyclicLR(o, 0.01, [0.1, 0.5], 5, 9, mode='triangular2')",
    "CyclicLR(o, [0.0, 0.1], 0.5, 6, mode='exp_range', gamma=0.97)",
    "CyclicLR(o, 0.01, 0.1, 6, scale_fn=lambda x: 1 / x, base_momentum=0.5, max_momentum=0.99)",
    "CyclicLR(o, 0.01, 0.1, 6, scale_fn=lambda x: 0.99**x, scale_mode='iterations', cycle_momentum=False)",
    "OneCycleLR(o, 0.5, total_steps=60)", "OneCycleLR(o, [0.5, 0.1], epochs=6, steps_per_epoch=11)",
    "OneCycleLR(o, 0.5, 60, pct_start=0.2, anneal_strategy='linear', div_factor=10.0, final_div_factor=100.0)",
    "OneCycleLR(o, 0.5, 60, three_phase=True)", "OneCycleLR(o, 0.5, 60, cycle_momentum=False)",
    "OneCycleLR(o, 0.5, 60, three_phase=True, anneal_strategy='linear', base_momentum=0.6, max_momentum=[0.8, 0.9])",
    "SequentialLR(o, [ConstantLR(o, 0.1, 20), ExponentialLR(o, 0.9)], [20])",
    "SequentialLR(o, [LinearLR(o, 0.1, total_iters=10), CosineAnnealingLR(o, 50)], milestones=[10])",
    "SequentialLR(o, [StepLR(o, 3), PolynomialLR(o, 20), MultiStepLR(o, [4])], [15, 40])",
    "SequentialLR(o, [ExponentialLR(o, 0.9), CosineAnnealingWarmRestarts(o, 5, 2)], [12])",
    "SequentialLR(o, [LambdaLR(o, lambda n: 1 + n), StepLR(o, 4)], [1])", "SequentialLR(o, [StepLR(o, 4)], [])",
    "ChainedScheduler([ConstantLR(o, 0.1, 20), ExponentialLR(o, 0.9)])",
    "ChainedScheduler([LinearLR(o), StepLR(o, 9), CosineAnnealingLR(o, 25)], optimizer=o)",
    "ChainedScheduler([MultiplicativeLR(o, lambda n: 0.99), PolynomialLR(o, 70)])",
    "SWALR(o, 0.05)", "SWALR(o, [0.05, 0.2], anneal_epochs=25, anneal_strategy='linear')", "SWALR(o, 0.5, 0)",
]  # fmt: skip

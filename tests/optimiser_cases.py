"""Every optimiser with every option, for tests/test_optim.py and the list of what is compared with PyTorch."""

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

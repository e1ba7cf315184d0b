"""Wrappers for several devices, on one."""

from tests.peer_tables import Case

MODULES = [
    Case("DataParallel(nn.Linear(4, 3))", [(5, 4)]),
    Case("DataParallel(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)))", [(5, 4)]),
    Case("DataParallel(nn.Bilinear(2, 3, 4))", [(5, 2), (5, 3)]),
]

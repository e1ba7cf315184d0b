"""L-BFGS: its trajectories are compared in a file of their own."""

TESTED = {"optim.LBFGS": "tests/test_second_order.py"}

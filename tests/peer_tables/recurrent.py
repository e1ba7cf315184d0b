"""Recurrent cells and layers."""

from tests.peer_tables import Case, Refused

MODULES = [
    Case("RNNCell(3, 4)", [(2, 3), (2, 4)]),
    Case("RNNCell(3, 4)", [(2, 3)]),
    Case("RNNCell(3, 4, bias=False, nonlinearity='relu')", [(3,), (4,)]),
    Case("RNNCell(3, 4)", [(0, 3), (0, 4)]),
    Case("LSTMCell(3, 2)", [(2, 3), (2, 2), (2, 2)], "layer(x, (y, z))"),
    Case("LSTMCell(3, 2)", [(2, 3)]),
    Case("LSTMCell(3, 2, bias=False)", [(3,), (2,), (2,)], "layer(x, (y, z))"),
    Case("GRUCell(3, 2)", [(2, 3), (2, 2)]),
    Case("GRUCell(3, 2)", [(3,)]),
    Case("GRUCell(1, 2, bias=False)", [(2, 1), (2, 2)]),
    Case("RNN(2, 3)", [(4, 2, 2)]),
    Case("RNN(2, 3)", [(4, 2, 2), (1, 2, 3)]),
    Case("RNN(2, 3, nonlinearity='relu')", [(4, 2)]),
    Case("RNN(2, 3, num_layers=2, bias=False, batch_first=True)", [(2, 4, 2), (2, 2, 3)]),
    Case("RNN(2, 3, 2, bidirectional=True)", [(4, 2, 2), (4, 2, 3)]),
    Case("RNN(2, 3, 1, 'relu', True, True, 0.0, True)", [(1, 1, 2)]),
    Case("RNN(2, 2, 3, dropout=0.5)", [(3, 2, 2)], modes=("eval",)),
    Case("LSTM(2, 3)", [(4, 2, 2)]),
    Case("LSTM(2, 2)", [(3, 2, 2), (1, 2, 2), (1, 2, 2)], "layer(x, (y, z))"),
    Case("LSTM(2, 2)", [(3, 2), (1, 2), (1, 2)], "layer(x, (y, z))"),
    Case("LSTM(2, 2, num_layers=2, bidirectional=True, batch_first=True)", [(2, 3, 2)]),
    Case("LSTM(2, 3, proj_size=2)", [(3, 2, 2)]),
    Case("LSTM(2, 3, 2, bidirectional=True, proj_size=1)", [(3, 2, 2), (4, 2, 1), (4, 2, 3)], "layer(x, (y, z))"),
    Case("LSTM(2, 2, 1, False)", [(3, 1, 2)]),
    Case("LSTM(2, 2, 2, dropout=0.3)", [(3, 2, 2)], modes=("eval",)),
    Case("GRU(2, 3)", [(4, 2, 2)]),
    Case("GRU(2, 2)", [(3, 2, 2), (1, 2, 2)]),
    Case("GRU(2, 2)", [(3, 2), (1, 2)]),
    Case("GRU(2, 2, 2, False, True, 0.0, True)", [(2, 3, 2)]),
    Case("GRU(2, 2, num_layers=2, dropout=0.2)", [(3, 2, 2)], modes=("eval",)),
    Case("GRU(20, 30, bidirectional=True)", [(9, 5, 20)]),
    Case("LSTM(20, 30, 2, bidirectional=True)", [(9, 5, 20)]),
    *[
        Case(
            f"{layer}(3, 2, {layers}, bidirectional={both}{first})",
            [(2, 5, 3) if first else (5, 2, 3)],
            "layer(nn.utils.rnn.pack_padded_sequence("
            f"x, lib.tensor({lengths}), batch_first={bool(first)}, enforce_sorted={lengths == [5, 3]}))",
            second=layers == 1,
        )
        for layer in ("RNN", "LSTM", "GRU")
        for layers, both in ((1, False), (1, True), (2, True))
        for first in ("", ", batch_first=True")
        for lengths in ([5, 3], [2, 5])
    ],
    Case(
        "LSTM(3, 2)",
        [(5, 2, 3), (1, 2, 2), (1, 2, 2)],
        "layer(nn.utils.rnn.pack_padded_sequence(x, lib.tensor([2, 4]), enforce_sorted=False), (y, z))",
    ),
    Case(
        "GRU(3, 2, bidirectional=True)",
        [(5, 2, 3), (2, 2, 2)],
        "layer(nn.utils.rnn.pack_padded_sequence(x, lib.tensor([2, 4]), enforce_sorted=False), y)",
    ),
]

REFUSED = [
    Refused("nn.RNN(3, 4)(x)", [(5, 2, 2)], "got 2 features, expects 3"),
    Refused("nn.RNN(3, 4)(x)", [(5, 2, 2, 3)], r"\(T, N, features\)"),
    Refused("nn.RNN(3, 4)(x, y)", [(5, 2, 3), (1, 3, 4)], r"\(1, 2, 4\) here, got \(1, 3, 4\)"),
    Refused("nn.RNN(3, 4)(x, y)", [(5, 3), (1, 1, 4)], r"\(1, 4\) here"),
    Refused("nn.LSTM(3, 4)(x, y)", [(5, 2, 3), (1, 2, 4)], "pair"),
    Refused("nn.LSTM(3, 4)(x, (y, z))", [(5, 2, 3), (1, 2, 4), (1, 2, 5)], "first c"),
    Refused("nn.GRU(3, 4)(x.double())", [(5, 2, 3)], "float64"),
    Refused("nn.GRU(3, 0)", [], "at least 1"),
    Refused("nn.GRU(3, 1, 0)", [], "at least 1"),
    Refused("nn.GRU(3, 1, dropout=2)", [], "probability"),
    Refused("nn.LSTM(3, 2, proj_size=2)", [], "below hidden_size"),
    Refused("nn.RNN(3, 2, nonlinearity='elu')", [], "'tanh', 'relu', 'sigmoid', 'identity'"),
    Refused("nn.RNNCell(3, 4)(x)", [(2, 4)], r"\(N, 3\) or \(3,\), got \(2, 4\)"),
    Refused("nn.RNNCell(3, 4)(x, y)", [(2, 3), (3, 4)], r"\(2, 4\), got \(3, 4\)"),
    Refused("nn.LSTMCell(3, 4)(x)", [(1, 2, 3)], r"\(N, 3\)"),
    Refused("nn.GRUCell(3, 4)(x.double())", [(2, 3)], "float64"),
    Refused("nn.utils.rnn.pack_padded_sequence(x, lib.tensor([2, 3]))", [(3, 2)], "do not fall"),
    Refused("nn.utils.rnn.pack_padded_sequence(x, lib.tensor([3, 0]))", [(3, 2)], r"1 … 3"),
    Refused("nn.utils.rnn.pack_padded_sequence(x, lib.tensor([3]))", [(3, 2)], "2 numbers"),
]

TESTED = {
    "nn.RNNBase": "tests/peer_tables/recurrent.py through RNN, LSTM and GRU",
    "nn.RNNCellBase": "tests/peer_tables/recurrent.py through its cells",
    **{
        f"nn.utils.rnn.{name}": "tests/test_recurrent.py"
        for name in (
            "PackedSequence",
            "invert_permutation",
            "pack_padded_sequence",
            "pack_sequence",
            "pad_packed_sequence",
            "pad_sequence",
            "unpack_sequence",
            "unpad_sequence",
        )
    },
}

"""One batch ahead: what is made early is not counted, and its errors come in their turn."""

from __future__ import annotations

from typing import Any

import pytest

from chainrule.data import DataLoader, Dataset
from chainrule.data.ahead import one_ahead


class Noted(Dataset):
    """Numbers; which of them have been read is noted. One raises an error."""

    def __init__(self, count: int, wrong: int = -1) -> None:
        self.count, self.wrong, self.read = count, wrong, []  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> int:
        if place == self.wrong:
            raise OSError(f"sample {place} cannot be read")
        self.read.append(place)
        return place


@pytest.mark.parametrize("workers", [0, 2])
def test_the_next_batch_is_made_while_the_loop_has_one_and_the_state_does_not_count_it(workers: int) -> None:
    data, sent = Noted(7), []

    def send(batch: Any) -> Any:
        sent.append(batch.tolist())
        return batch

    loader = DataLoader(data, 2, num_workers=workers)
    expected = [x.tolist() for x in loader]
    for number, batch in enumerate(one_ahead(iter(loader), send), 1):
        assert batch.tolist() == expected[number - 1] and sent == expected[: number + 1]
        state = loader.state_dict()
        assert state["batches"] == number
        again = DataLoader(data, 2, num_workers=workers)
        again.load_state_dict(state)
        assert [x.tolist() for x in again] == expected[number:]
    assert loader.state_dict()["batches"] is None and sent == expected


def test_an_error_of_the_data_comes_in_its_turn() -> None:
    loader, seen = DataLoader(Noted(6, wrong=4), 2), []
    with pytest.raises(OSError, match="sample 4"):
        for batch in one_ahead(iter(loader), lambda batch: batch):
            seen.append((batch.tolist(), loader.state_dict()["batches"]))
    assert seen == [([0, 1], 1), ([2, 3], 2)]
    assert list(one_ahead(iter(DataLoader([], 2)), lambda batch: batch)) == []

"""A data set of dictionaries with transforms of its own, and the ways to put data sets, samplers and batches together."""

import csv

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
)
from torchvision import transforms

with open("landmarks.csv", "w") as f:
    w = csv.writer(f)
    w.writerow(["image_name"] + [f"part_{i}_{c}" for i in range(3) for c in "xy"])
    for i in range(7):
        w.writerow([f"img{i}"] + [i * 10 + j for j in range(6)])


class Landmarks(Dataset):
    def __init__(self, csv_file, transform=None):
        with open(csv_file) as f:
            self.rows = list(csv.reader(f))[1:]
        self.transform = transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        name = self.rows[idx][0]
        image = np.full((12, 10, 3), idx, dtype=np.uint8)
        marks = np.array([float(v) for v in self.rows[idx][1:]]).astype("float").reshape(-1, 2)
        sample = {"image": image, "landmarks": marks, "name": name}
        return self.transform(sample) if self.transform else sample


class Rescale:
    def __init__(self, output_size):
        assert isinstance(output_size, (int, tuple))
        self.output_size = output_size

    def __call__(self, sample):
        image, landmarks = sample["image"], sample["landmarks"]
        return {**sample, "image": image[: self.output_size, : self.output_size], "landmarks": landmarks * 0.5}


class ToTensor:
    def __call__(self, sample):
        image = sample["image"].transpose((2, 0, 1))
        return {
            "image": torch.from_numpy(image),
            "landmarks": torch.from_numpy(sample["landmarks"]),
            "name": sample["name"],
        }


data = Landmarks("landmarks.csv", transform=transforms.Compose([Rescale(6), ToTensor()]))
for i, sample in enumerate(data):
    print(i, sample["image"].size(), sample["landmarks"].size(), sample["image"].dtype, sample["landmarks"].dtype)
    if i == 3:
        break
loader = DataLoader(data, batch_size=3, shuffle=False, num_workers=0)
for i_batch, batch in enumerate(loader):
    print(i_batch, batch["image"].size(), batch["landmarks"].sum(), batch["name"])
both = ConcatDataset([data, data])
print(len(both), both[9]["name"], both.cumulative_sizes)
print(list(BatchSampler(SequentialSampler(range(10)), batch_size=3, drop_last=False)))
print(len(BatchSampler(SequentialSampler(range(10)), batch_size=3, drop_last=True)))


class Stream(IterableDataset):
    def __init__(self, start, end):
        super().__init__()
        self.start, self.end = start, end

    def __iter__(self):
        info = get_worker_info()
        assert info is None
        return iter(range(self.start, self.end))


print(list(DataLoader(ChainDataset([Stream(3, 7), Stream(0, 2)]), batch_size=4)))
print(list(DataLoader(Stream(3, 7) + Stream(20, 22), batch_size=None)))


def collate(items):
    lengths = torch.tensor([len(t) for t in items])
    return torch.nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=-1), lengths


ragged = [torch.arange(n) for n in (2, 4, 1, 3)]
for padded, lengths in DataLoader(ragged, batch_size=2, collate_fn=collate):
    print(padded, lengths)
print(default_collate([(1, 2.5, "a", {"k": np.float32(3)}), (2, 3.5, "b", {"k": np.float32(4)})]))
print(default_collate([[torch.tensor([1]), None.__class__.__name__], [torch.tensor([2]), "x"]]))
sampler = WeightedRandomSampler([0.0, 0.0, 1.0], 5, replacement=True)
print(list(sampler), len(sampler))
print(sorted(SubsetRandomSampler([4, 5, 6])), sorted(RandomSampler(range(4))))
stacked = StackDataset(torch.arange(4), torch.arange(4) * 10)
print(stacked[2], len(stacked), StackDataset(a=[1, 2], b=[3, 4])[1])
loader = DataLoader(data, batch_sampler=BatchSampler(SequentialSampler(data), 4, False), pin_memory=False)
print(len(loader), loader.batch_size, [len(b["name"]) for b in loader], loader.dataset is data)
g = torch.Generator()
g.manual_seed(0)
lengths = [len(s) for s in torch.utils.data.random_split(range(10), [0.3, 0.3, 0.4], generator=g)]
print(lengths)

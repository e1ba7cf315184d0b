"""Sentences counted, cut, numbered and padded by hand; a packed recurrent network and bags of words judge them."""

import re
from collections import Counter
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpad_sequence
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler, Subset

numbers = np.random.default_rng(6)
GOOD = "a fine and warm film; it moved me . what a joy , truly fine ! the end is warm".split()
BAD = "a dull and cold film; it bored me . what a waste , truly dull ! the end is cold".split()


def tokenize(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


class Vocab:
    def __init__(self, counter, min_freq=1, specials=("<unk>", "<pad>")):
        self.itos = list(specials) + [
            w for w, c in sorted(counter.items(), key=lambda p: (-p[1], p[0])) if c >= min_freq
        ]
        self.stoi = {w: i for i, w in enumerate(self.itos)}

    def __len__(self):
        return len(self.itos)

    def __getitem__(self, token):
        return self.stoi.get(token, self.stoi["<unk>"])


class Reviews(Dataset):
    def __init__(self, label, count):
        words = GOOD if label else BAD
        self.examples = [(" ".join(numbers.choice(words, numbers.integers(3, 12))), label) for _ in range(count)]

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, i):
        return self.examples[i]


class BucketSampler(Sampler):
    """Sentences of like length together."""

    def __init__(self, lengths, batch_size):
        super().__init__()
        order = np.argsort(lengths, kind="stable")
        self.batches = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]

    def __iter__(self):
        return iter(self.batches[::2] + self.batches[1::2])

    def __len__(self):
        return len(self.batches)


def collate_batch(batch, vocab):
    label_list, text_list, offsets = [], [], [0]
    for _text, _label in batch:
        label_list.append(_label)
        processed = torch.tensor([vocab[t] for t in tokenize(_text)], dtype=torch.int64)
        text_list.append(processed)
        offsets.append(processed.size(0))
    lengths = torch.tensor(offsets[1:])
    return (
        torch.tensor(label_list, dtype=torch.float32), pad_sequence(text_list, True, padding_value=vocab["<pad>"]),
        lengths, torch.cat(text_list), torch.tensor(offsets[:-1]).cumsum(dim=0),
    )  # fmt: skip


class RNN(nn.Module):
    def __init__(self, vocab_size, embedding_dim=8, hidden_dim=6, n_layers=2, pad_idx=1):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=pad_idx)
        self.rnn = nn.GRU(embedding_dim, hidden_dim, num_layers=n_layers, bidirectional=True, batch_first=True)
        self.bag = nn.EmbeddingBag(vocab_size, embedding_dim, mode="mean")
        self.fc = nn.Linear(hidden_dim * 2 + embedding_dim, 1)
        for name, p in self.named_parameters():
            p.data.copy_(torch.tensor(numbers.normal(0, 0.3, tuple(p.shape))))
        self.embedding.weight.data[pad_idx] = torch.zeros(embedding_dim)

    def forward(self, text, text_lengths, flat, offsets):
        embedded = self.embedding(text)
        packed = pack_padded_sequence(embedded, text_lengths.to("cpu"), batch_first=True, enforce_sorted=False)
        packed_output, hidden = self.rnn(packed)
        output, output_lengths = pad_packed_sequence(packed_output, batch_first=True, padding_value=-1.0)
        hidden = torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)
        return self.fc(torch.cat([hidden, self.bag(flat, offsets)], 1)).squeeze(1), output, output_lengths


def binary_accuracy(preds, y):
    rounded_preds = torch.round(torch.sigmoid(preds))
    correct = (rounded_preds == y).float()
    return correct.sum() / len(correct)


data = ConcatDataset([Reviews(1, 14), Reviews(0, 14)])
counter = Counter(t for text, _ in data for t in tokenize(text))
vocab = Vocab(counter)
print("words", len(vocab), vocab.itos[:6], vocab["film"], vocab["unheard"])
sampler = BucketSampler([len(tokenize(text)) for text, _ in data], 7)
loader = DataLoader(data, batch_sampler=sampler, collate_fn=partial(collate_batch, vocab=vocab))
model = RNN(len(vocab))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.2))
for epoch in range(4):
    epoch_loss, epoch_acc = 0, 0
    for label, text, lengths, flat, offsets in loader:
        optimizer.zero_grad()
        predictions, output, output_lengths = model(text, lengths, flat, offsets)
        loss = criterion(predictions, label)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
        epoch_loss += loss.item()
        epoch_acc += binary_accuracy(predictions, label).item()
    print(
        f"Epoch: {epoch + 1:02} | Train Loss: {epoch_loss / len(loader):.4f} | Train Acc: {epoch_acc / len(loader) * 100:.2f}%"
    )
print("padding stays", model.embedding.weight[1].abs().sum().item(), model.embedding.weight.grad[1].abs().sum().item())
print("outputs", tuple(output.shape), output_lengths.tolist(), (output == -1).float().mean().item())
packed = pack_sequence([torch.arange(3.0), torch.arange(5.0), torch.arange(1.0)], enforce_sorted=False)
print(packed.data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
print([s.tolist() for s in unpad_sequence(*pad_packed_sequence(packed))], len(Subset(data, range(3))))

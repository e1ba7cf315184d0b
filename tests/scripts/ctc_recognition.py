"""A convolutional recurrent network reads strokes of different lengths, without being told where each letter stands."""

import string

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

numbers = np.random.default_rng(11)
ALPHABET = "-" + string.ascii_lowercase[:5]
CHAR2LABEL = {char: i for i, char in enumerate(ALPHABET)}
LABEL2CHAR = {label: char for char, label in CHAR2LABEL.items()}
GLYPHS = numbers.normal(0, 1, (len(ALPHABET), 6, 3)).astype(np.float32)


class Words(Dataset):
    def __init__(self, count):
        self.words = ["".join(numbers.choice(list(ALPHABET[1:]), numbers.integers(2, 5))) for _ in range(count)]

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        text = self.words[index]
        strip = np.concatenate([GLYPHS[CHAR2LABEL[c]] for c in text], axis=1)
        image = torch.FloatTensor(strip + 0.05 * np.cos(np.arange(strip.shape[1])))
        target = torch.LongTensor([CHAR2LABEL[c] for c in text])
        return image, target, torch.LongTensor([len(target)])


def collate(batch):
    images, targets, target_lengths = zip(*batch)
    widths = torch.tensor([image.shape[1] for image in images])
    images = pad_sequence([image.t() for image in images], batch_first=True)
    return images, widths, torch.cat(targets, dim=0), torch.cat(target_lengths, dim=0)


class CRNN(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.conv = nn.Conv1d(6, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.rnn = nn.LSTM(8, hidden, bidirectional=True)
        self.dense = nn.Linear(2 * hidden, len(ALPHABET))
        for p in self.parameters():
            with torch.no_grad():
                p.copy_(torch.from_numpy(numbers.normal(0, 0.3, tuple(p.shape))))

    def forward(self, images, widths):
        x = torch.relu(self.norm(self.conv(images.transpose(1, 2)))).permute(2, 0, 1)
        packed = pack_padded_sequence(x, widths, enforce_sorted=False)
        out, (h, c) = self.rnn(packed)
        out, lengths = pad_packed_sequence(out)
        return self.dense(out), lengths


def decode(labels, blank=0):
    text, last = "", blank
    for label in labels:
        if label != last and label != blank:
            text += LABEL2CHAR[label]
        last = label
    return text


data = Words(20)
loader = DataLoader(data, batch_size=5, shuffle=False, collate_fn=collate, drop_last=True)
model = CRNN()
criterion = nn.CTCLoss(reduction="sum", zero_infinity=True)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
for epoch in range(1, 9):
    tot_loss, tot_count = 0.0, 0
    for images, widths, targets, target_lengths in loader:
        logits, input_lengths = model(images, widths)
        log_probs = torch.nn.functional.log_softmax(logits, dim=2)
        loss = criterion(log_probs, targets, input_lengths, torch.flatten(target_lengths))
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        tot_loss += loss.item()
        tot_count += images.size(0)
    print(f"epoch {epoch}: loss {tot_loss / tot_count:.5f} norm {norm:.4f}")
model.eval()
with torch.no_grad():
    images, widths, targets, target_lengths = next(iter(loader))
    logits, lengths = model(images, widths)
    best = logits.argmax(-1).t().tolist()
for row, length, word in zip(best, lengths, data.words):
    print("read", decode(row[:length]), "written", word)
print("share of blanks", logits.argmax(-1).eq(0).float().mean().item())

"""An LSTM that reads a small invented language word by word, with truncated backpropagation through time."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

random = np.random.default_rng(2)
torch.manual_seed(1111)
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


class Dictionary:
    def __init__(self):
        self.word2idx, self.idx2word = {}, []

    def add_word(self, word):
        if word not in self.word2idx:
            self.idx2word.append(word)
            self.word2idx[word] = len(self.idx2word) - 1
        return self.word2idx[word]

    def __len__(self):
        return len(self.idx2word)


def sentences(count):
    subjects, verbs, objects = (
        ["ann", "bob", "the cat", "a dog"],
        ["sees", "likes", "chases"],
        ["fish", "the sun", "tea"],
    )
    for _ in range(count):
        parts = [words[random.integers(len(words))] for words in (subjects, verbs, objects)]
        yield " ".join(parts).split() + ["<eos>"]


dictionary = Dictionary()


def tokenize(count):
    idss = []
    for words in sentences(count):
        idss.append(torch.tensor([dictionary.add_word(word) for word in words]).type(torch.int64))
    return torch.cat(idss)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous().to(device)


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp, nhid, nlayers, dropout=0.0, tie_weights=False):
        super().__init__()
        self.ntoken, self.nhid, self.nlayers = ntoken, nhid, nlayers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            if nhid != ninp:
                raise ValueError("When using the tied flag, nhid must be equal to emsize")
            self.decoder.weight = self.encoder.weight
        self.init_weights()

    def init_weights(self):
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.from_numpy(random.uniform(-0.2, 0.2, tuple(p.shape))))
        nn.init.zeros_(self.decoder.bias)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (weight.new_zeros(self.nlayers, bsz, self.nhid), weight.new_zeros(self.nlayers, bsz, self.nhid))


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


bptt, clip, lr = 6, 0.25, 5.0
train_data, val_data = batchify(tokenize(80), 8), batchify(tokenize(20), 4)
ntokens = len(dictionary)
model = RNNModel(ntokens, 16, 16, 2, tie_weights=True).to(device)
criterion = nn.NLLLoss()
print(sum(p.numel() for p in model.parameters()), ntokens, tuple(train_data.shape))


def get_batch(source, i):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def evaluate(data_source):
    model.eval()
    total_loss, hidden = 0.0, model.init_hidden(4)
    with torch.no_grad():
        for i in range(0, data_source.size(0) - 1, bptt):
            data, targets = get_batch(data_source, i)
            output, hidden = model(data, hidden)
            hidden = repackage_hidden(hidden)
            total_loss += len(data) * criterion(output, targets).item()
    return total_loss / (len(data_source) - 1)


best_val_loss = None
for epoch in range(1, 4):
    model.train()
    total_loss, hidden = 0.0, model.init_hidden(8)
    for batch, i in enumerate(range(0, train_data.size(0) - 1, bptt)):
        data, targets = get_batch(train_data, i)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        total_loss += loss.item()
    val_loss = evaluate(val_data)
    print(
        f"| epoch {epoch} | train {total_loss / (batch + 1):.5f} | valid {val_loss:.5f} | ppl {math.exp(val_loss):8.4f}"
    )
    if not best_val_loss or val_loss < best_val_loss:
        best_val_loss = val_loss
    else:
        lr /= 4.0

hidden, input = model.init_hidden(1), torch.zeros(1, 1, dtype=torch.long, device=device)
words = []
with torch.no_grad():
    for _ in range(8):
        output, hidden = model(input, hidden)
        word_idx = output.squeeze().div(0.5).exp().argmax()
        input.fill_(word_idx)
        words.append(dictionary.idx2word[word_idx])
print(" ".join(words))

"""A transformer encoder with a causal mask learns which word comes next, with the schedule and clipping of the tutorials."""

import math
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

numbers = np.random.default_rng(31)
text = (
    "the cat sat on the mat and the dog sat on the log while the bird sang in the tree and the fish swam in the sea "
    * 6
)


class Dictionary(object):
    def __init__(self):
        self.word2idx = {}
        self.idx2word = []

    def add_word(self, word):
        if word not in self.word2idx:
            self.idx2word.append(word)
            self.word2idx[word] = len(self.idx2word) - 1
        return self.word2idx[word]


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=50):
        super(PositionalEncoding, self).__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        pe = pe.unsqueeze(0).transpose(0, 1)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return self.dropout(x + self.pe[: x.size(0), :])


class TransformerModel(nn.Module):
    def __init__(self, ntoken, ninp, nhead, nhid, nlayers, dropout=0.0):
        super().__init__()
        self.src_mask = None
        self.pos_encoder = PositionalEncoding(ninp, dropout)
        encoder_layer = nn.TransformerEncoderLayer(ninp, nhead, nhid, dropout)
        self.transformer_encoder = nn.TransformerEncoder(encoder_layer, nlayers, enable_nested_tensor=False)
        self.input_emb = nn.Embedding(ntoken, ninp)
        self.ninp = ninp
        self.decoder = nn.Linear(ninp, ntoken)
        for p in self.parameters():
            p.data.copy_(torch.from_numpy(numbers.normal(0, 0.15, tuple(p.shape))))

    def _generate_square_subsequent_mask(self, sz):
        return torch.log(torch.tril(torch.ones(sz, sz)))

    def forward(self, src):
        if self.src_mask is None or self.src_mask.size(0) != len(src):
            self.src_mask = self._generate_square_subsequent_mask(len(src)).to(src.device)
        src = self.input_emb(src) * math.sqrt(self.ninp)
        output = self.transformer_encoder(self.pos_encoder(src), mask=self.src_mask)
        return F.log_softmax(self.decoder(output), dim=-1)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt=8):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


corpus = Dictionary()
ids = torch.tensor([corpus.add_word(word) for word in text.split()]).type(torch.int64)
train_data, ntokens = batchify(ids, 4), len(corpus.idx2word)
model = TransformerModel(ntokens, 16, 2, 24, 2)
criterion, lr, best = nn.NLLLoss(), 0.5, None
scheduler = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(model.parameters(), lr=lr), 1.0, gamma=0.95)
optimizer = scheduler.optimizer
print(ntokens, "words", tuple(train_data.shape))
for epoch in range(1, 3):
    model.train()
    start_time, total_loss = time.time(), 0.0
    for batch, i in enumerate(range(0, train_data.size(0) - 1, 8)):
        data, targets = get_batch(train_data, i)
        model.zero_grad()
        loss = criterion(model(data).view(-1, ntokens), targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        total_loss += loss.item()
        print(
            "| epoch {:3d} | {:5d} batches | lr {:02.3f} | loss {:5.4f} | ppl {:8.3f} | norm {:.4f}".format(
                epoch, batch, scheduler.get_last_lr()[0], loss.item(), math.exp(loss.item()), norm.item()
            )
        )
    scheduler.step()
    assert time.time() >= start_time
model.eval()
with torch.no_grad():
    words = ids[:4].view(-1, 1)
    for _ in range(6):
        word_weights = model(words)[-1].squeeze().exp()
        words = torch.cat([words, torch.argmax(word_weights).view(1, 1)], 0)
print(" ".join(corpus.idx2word[i] for i in words.squeeze().tolist()))

"""A Transformer fills in what is hidden: key padding masks, warming up, smoothed labels, weights tied and accumulated."""

import math

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from torch.nn import TransformerEncoder, TransformerEncoderLayer
from torch.optim.lr_scheduler import LambdaLR

numbers = np.random.default_rng(19)
PAD, MASK, VOCAB = 0, 1, 14


class PositionalEncoding(nn.Module):
    def __init__(self, d_model: int, dropout: float = 0.0, max_len: int = 32):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, 1, d_model)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pe[: x.size(0)]
        return self.dropout(x)


class BertLike(nn.Module):
    def __init__(self, ntoken: int, d_model: int, nhead: int, d_hid: int, nlayers: int):
        super().__init__()
        self.model_type = "Transformer"
        self.pos_encoder = PositionalEncoding(d_model)
        layer = TransformerEncoderLayer(d_model, nhead, d_hid, dropout=0.0, activation="gelu", norm_first=True)
        self.transformer_encoder = TransformerEncoder(
            layer, nlayers, norm=nn.LayerNorm(d_model), enable_nested_tensor=False
        )
        self.encoder = nn.Embedding(ntoken, d_model, padding_idx=PAD)
        self.d_model = d_model
        self.decoder = nn.Linear(d_model, ntoken)
        self.pooler = nn.MultiheadAttention(d_model, 2, batch_first=True, bias=False)
        self.query = nn.Parameter(torch.zeros(1, 1, d_model))
        for name, p in self.named_parameters():
            if p.dim() > 1:
                p.data.copy_(torch.from_numpy(numbers.normal(0, 0.15, tuple(p.shape))))
            elif name.endswith("bias"):
                p.data.zero_()
        self.decoder.weight = self.encoder.weight  # tied

    def forward(self, src: Tensor, src_key_padding_mask: Tensor = None):
        src = self.encoder(src) * math.sqrt(self.d_model)
        src = self.pos_encoder(src)
        output = self.transformer_encoder(src, src_key_padding_mask=src_key_padding_mask)
        query = self.query.expand(output.size(1), -1, -1)
        pooled, weights = self.pooler(
            query, output.transpose(0, 1), output.transpose(0, 1), key_padding_mask=src_key_padding_mask
        )
        return self.decoder(output), pooled.squeeze(1), weights


def sentences(n):
    rows = []
    for _ in range(n):
        start, step, length = numbers.integers(0, 12), numbers.integers(1, 4), numbers.integers(5, 11)
        rows.append(torch.tensor([2 + (start + step * k) % 12 for k in range(length)]))
    return nn.utils.rnn.pad_sequence(rows, padding_value=PAD)


def hide(batch):
    chosen = torch.from_numpy(numbers.random(tuple(batch.shape)) < 0.2) & batch.ne(PAD)
    chosen[0] = True
    labels = batch.masked_fill(~chosen, -100)
    return batch.masked_fill(chosen, MASK), labels


def noam(step, d_model=16, warmup=6):
    step += 1
    return d_model ** (-0.5) * min(step ** (-0.5), step * warmup ** (-1.5))


model = BertLike(VOCAB, 16, 4, 32, 2)
print("parameters", sum(p.numel() for p in model.parameters()), "tied", model.decoder.weight is model.encoder.weight)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1, betas=(0.9, 0.98), eps=1e-9)
scheduler = LambdaLR(optimizer, lr_lambda=noam)
criterion = nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=0.1)
accumulate = 2
optimizer.zero_grad()
for step in range(12):
    src, labels = hide(sentences(6))
    padding = src.eq(PAD).t()
    output, pooled, weights = model(src, padding)
    loss = criterion(output.view(-1, VOCAB), labels.view(-1)) / accumulate
    loss.backward()
    if (step + 1) % accumulate == 0:
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        print(
            f"step {step} loss {loss.item() * accumulate:.5f} norm {norm.item():.4f} lr {scheduler.get_last_lr()[0]:.6f}"
        )
model.eval()
with torch.no_grad():
    src, labels = hide(sentences(4))
    padding = src.eq(PAD).t()
    output, pooled, weights = model(src, padding)
    longer = torch.cat([src, torch.full((3, 4), PAD)])
    more, pooled_more, _ = model(longer, longer.eq(PAD).t())
print(
    "ppl",
    math.exp(min(criterion(output.flatten(0, 1), labels.flatten()).item(), 20)),
    "weights",
    weights.sum(-1).flatten()[:3],
)
print("padding changes nothing", (pooled - pooled_more).abs().max().item() < 1e-5)
causal = nn.Transformer.generate_square_subsequent_mask(4)
print("causal", causal[1], torch.triu(torch.ones(3, 3) * float("-inf"), diagonal=1)[0])

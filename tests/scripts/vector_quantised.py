"""An autoencoder whose code is a row of a table: straight-through gradients, codes averaged as they are used."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

numbers = np.random.default_rng(14)


class VectorQuantizerEMA(nn.Module):
    def __init__(self, num_embeddings, embedding_dim, commitment_cost, decay, epsilon=1e-5):
        super(VectorQuantizerEMA, self).__init__()
        self._embedding_dim = embedding_dim
        self._num_embeddings = num_embeddings
        self._embedding = nn.Embedding(self._num_embeddings, self._embedding_dim)
        self._embedding.weight.data.copy_(torch.from_numpy(numbers.normal(0, 1, (num_embeddings, embedding_dim))))
        self._commitment_cost = commitment_cost
        self.register_buffer("_ema_cluster_size", torch.zeros(num_embeddings))
        self._ema_w = nn.Parameter(torch.Tensor(num_embeddings, self._embedding_dim))
        self._ema_w.data.copy_(self._embedding.weight.data)
        self._decay = decay
        self._epsilon = epsilon

    def forward(self, inputs):
        inputs = inputs.permute(0, 2, 3, 1).contiguous()
        input_shape = inputs.shape
        flat_input = inputs.view(-1, self._embedding_dim)
        distances = (
            torch.sum(flat_input**2, dim=1, keepdim=True)
            + torch.sum(self._embedding.weight**2, dim=1)
            - 2 * torch.matmul(flat_input, self._embedding.weight.t())
        )
        encoding_indices = torch.argmin(distances, dim=1).unsqueeze(1)
        encodings = torch.zeros(encoding_indices.shape[0], self._num_embeddings, device=inputs.device)
        encodings.scatter_(1, encoding_indices, 1)
        quantized = torch.matmul(encodings, self._embedding.weight).view(input_shape)
        if self.training:
            self._ema_cluster_size = self._ema_cluster_size * self._decay + (1 - self._decay) * torch.sum(encodings, 0)
            n = torch.sum(self._ema_cluster_size.data)
            self._ema_cluster_size = (
                (self._ema_cluster_size + self._epsilon) / (n + self._num_embeddings * self._epsilon) * n
            )
            dw = torch.matmul(encodings.t(), flat_input)
            self._ema_w = nn.Parameter(self._ema_w * self._decay + (1 - self._decay) * dw)
            self._embedding.weight = nn.Parameter(self._ema_w / self._ema_cluster_size.unsqueeze(1))
        e_latent_loss = F.mse_loss(quantized.detach(), inputs)
        loss = self._commitment_cost * e_latent_loss
        quantized = inputs + (quantized - inputs).detach()
        avg_probs = torch.mean(encodings, dim=0)
        perplexity = torch.exp(-torch.sum(avg_probs * torch.log(avg_probs + 1e-10)))
        return loss, quantized.permute(0, 3, 1, 2).contiguous(), perplexity, encodings


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self._encoder = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(True), nn.Conv2d(8, 4, 3, 1, 1))
        self._vq_vae = VectorQuantizerEMA(8, 4, 0.25, 0.9)
        self._decoder = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(True), nn.ConvTranspose2d(8, 1, 4, 2, 1))
        for net in (self._encoder, self._decoder):
            for p in net.parameters():
                p.data.copy_(torch.from_numpy(numbers.normal(0, 0.2, tuple(p.shape))))

    def forward(self, x):
        loss, quantized, perplexity, _ = self._vq_vae(self._encoder(x))
        return loss, self._decoder(quantized), perplexity


data = numbers.normal(0, 1, (16, 1, 12, 12)).cumsum(2).cumsum(3) / 10
data = torch.from_numpy(data).float()
data_variance = data.var()
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, amsgrad=True)
model.train()
for i in range(10):
    optimizer.zero_grad()
    vq_loss, data_recon, perplexity = model(data[(i % 2) * 8 : (i % 2) * 8 + 8])
    recon_error = F.mse_loss(data_recon, data[(i % 2) * 8 : (i % 2) * 8 + 8]) / data_variance
    (recon_error + vq_loss).backward()
    optimizer.step()
    print(
        "%d recon_error: %.5f vq_loss: %.5f perplexity: %.4f"
        % (i + 1, recon_error.item(), vq_loss.item(), perplexity.item())
    )
model.eval()
with torch.no_grad():
    _, out, perplexity = model(data)
    _, _, _, encodings = model._vq_vae(model._encoder(data[:2]))
print(
    "codes used",
    int((encodings.sum(0) > 0).sum()),
    "error",
    F.mse_loss(out, data).item(),
    "most",
    encodings.sum(0).topk(3)[0].tolist(),
)
one_hot = F.one_hot(encodings.argmax(1), num_classes=8)
print("same", bool((one_hot == encodings).all()), one_hot.shape, one_hot.dtype)
print("state", [(k, tuple(v.shape)) for k, v in model._vq_vae.state_dict().items()])

"""Messages along the edges of a graph, weighted by attention: softmax over the neighbours by scattering."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

numbers = np.random.default_rng(31)
N, EDGES = 24, 70
labels = torch.arange(N) % 3
src = numbers.integers(0, N, EDGES)
dst = np.where(
    numbers.random(EDGES) < 0.8, (src + 3 * numbers.integers(0, 8, EDGES)) % N, numbers.integers(0, N, EDGES)
)
edge_index = torch.unique(
    torch.from_numpy(np.stack([np.r_[src, dst, np.arange(N)], np.r_[dst, src, np.arange(N)]])), dim=1
)
x = F.one_hot(labels, 3).float() * 0.5 + torch.from_numpy(numbers.normal(0, 0.6, (N, 3))).float()


def scatter_softmax(scores, index, n):
    expand = index.unsqueeze(-1).expand_as(scores)
    top = torch.full((n, scores.size(1)), float("-inf")).scatter_reduce(0, expand, scores.detach(), reduce="amax")
    exp = (scores - top.index_select(0, index)).exp()
    total = torch.zeros(n, scores.size(1)).scatter_add_(0, expand, exp)
    return exp / (total[index] + 1e-16)


class GATLayer(nn.Module):
    def __init__(self, in_features, out_features, heads, concat=True):
        super(GATLayer, self).__init__()
        self.heads, self.out_features, self.concat = heads, out_features, concat
        self.W = nn.Parameter(torch.empty(in_features, heads * out_features))
        self.a_src = nn.Parameter(torch.empty(1, heads, out_features))
        self.a_dst = nn.Parameter(torch.empty(1, heads, out_features))
        self.bias = nn.Parameter(torch.zeros(heads * out_features if concat else out_features))
        self.leakyrelu = nn.LeakyReLU(0.2)
        for p in (self.W, self.a_src, self.a_dst):
            bound = 1.414 * np.sqrt(6 / (p.shape[-2] + p.shape[-1]))
            p.data = torch.from_numpy(numbers.uniform(-bound, bound, tuple(p.shape))).float()

    def forward(self, x, edge_index):
        h = torch.mm(x, self.W).view(-1, self.heads, self.out_features)
        source, target = edge_index
        e = self.leakyrelu((h * self.a_src).sum(-1)[source] + (h * self.a_dst).sum(-1)[target])
        alpha = scatter_softmax(e, target, x.size(0))
        self.alpha = alpha.detach()
        messages = h[source] * alpha.unsqueeze(-1)
        out = torch.zeros_like(h).index_add(0, target, messages)
        out = out.reshape(-1, self.heads * self.out_features) if self.concat else out.mean(dim=1)
        return out + self.bias

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.heads) + " heads -> " + str(self.out_features) + ")"


class GAT(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = GATLayer(3, 4, 2), GATLayer(8, 3, 3, concat=False)

    def forward(self, x, edge_index):
        return F.log_softmax(self.two(F.elu(self.one(x, edge_index)), edge_index), dim=-1)


model = GAT()
print(model, edge_index.shape)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
train_mask = torch.zeros(N, dtype=torch.bool)
train_mask[:9] = True
for epoch in range(12):
    model.train()
    optimizer.zero_grad()
    out = model(x, edge_index)
    loss = F.nll_loss(out[train_mask], labels[train_mask])
    loss.backward()
    optimizer.step()
    if epoch % 4 == 3:
        pred = out.argmax(dim=1)
        rest = ~train_mask
        acc = int((pred[rest] == labels[rest]).sum()) / int(rest.sum())
        print(
            f"Epoch: {epoch:03d}, Loss: {loss:.4f}, Train: {pred[train_mask].eq(labels[train_mask]).float().mean():.4f}, Val: {acc:.4f}"
        )
sums = torch.zeros(N, 2).index_add_(0, edge_index[1], model.one.alpha)
print("every node's attention", sums.min().item(), sums.max().item())
adj = torch.sparse_coo_tensor(edge_index, torch.ones(edge_index.size(1)), (N, N))
degree = torch.sparse.sum(adj, 1).to_dense()
laplacian = torch.diag(degree) - adj.to_dense()
eigenvalues = torch.linalg.eigvalsh(laplacian + laplacian.T)
print("spectrum", eigenvalues[:3].abs() < 10, eigenvalues[-1].item())
dense = (adj.to_dense() @ x) / degree.unsqueeze(1)
print("same product", torch.allclose(dense, torch.sparse.mm(adj, x) / degree.unsqueeze(1), atol=1e-6))
pooled = torch.stack([dense[labels == c].max(dim=0).values for c in range(3)])
rows, counts = torch.unique(edge_index[1], return_counts=True)
print("pooled", pooled, "most", counts.max().item(), rows[counts.argmax()].item())

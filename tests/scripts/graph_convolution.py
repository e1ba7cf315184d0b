"""A graph convolutional network on a small invented graph, with a sparse adjacency matrix, from two labelled nodes."""

import argparse
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn import Module
from torch.nn.parameter import Parameter

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--hidden", type=int, default=8)
parser.add_argument("--lr", type=float, default=0.05)
args = parser.parse_args()
numbers = np.random.default_rng(3)


def load_data(nodes=40, features=12):
    labels = np.arange(nodes) % 3
    same = labels[:, None] == labels[None, :]
    edges = np.argwhere(numbers.random((nodes, nodes)) < np.where(same, 0.3, 0.03))
    x = numbers.random((nodes, features)) < 0.3 + 0.2 * (np.arange(features) % 3 == labels[:, None])
    # symmetric, with loops, and every row divided by its sum
    i = np.concatenate([edges, edges[:, ::-1], np.arange(nodes)[:, None].repeat(2, 1)]).T
    adj = torch.sparse_coo_tensor(torch.LongTensor(i), torch.ones(i.shape[1]), (nodes, nodes)).coalesce()
    degree = torch.sparse.sum(adj, dim=1).to_dense()
    values = adj.values() / degree[adj.indices()[0]]
    adj = torch.sparse.FloatTensor(adj.indices(), values, torch.Size([nodes, nodes])).coalesce()
    return adj, torch.FloatTensor(x.astype("float32")), torch.LongTensor(labels)


class GraphConvolution(Module):
    def __init__(self, in_features, out_features, bias=True):
        super(GraphConvolution, self).__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.FloatTensor(torch.zeros(in_features, out_features)))
        if bias:
            self.bias = Parameter(torch.zeros(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.copy_(torch.from_numpy(numbers.uniform(-stdv, stdv, tuple(self.weight.shape))))

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.spmm(adj, support)
        return output if self.bias is None else output + self.bias

    def __repr__(self):
        return f"{self.__class__.__name__} ({self.in_features} -> {self.out_features})"


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super(GCN, self).__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


def accuracy(output, labels):
    preds = output.max(1)[1].type_as(labels)
    return preds.eq(labels).double().sum() / len(labels)


adj, features, labels = load_data()
idx_train, idx_test = torch.LongTensor(range(6)), torch.LongTensor(range(6, 40))
print("edges", adj._nnz(), "of", tuple(adj.shape))
model = GCN(features.shape[1], args.hidden, int(labels.max().item()) + 1, dropout=0.0)
print(model)
optimizer = optim.Adam(model.parameters(), lr=args.lr, weight_decay=5e-4)
for epoch in range(args.epochs):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])
    loss_train.backward()
    optimizer.step()
    print(f"Epoch: {epoch + 1:04d} loss_train: {loss_train.item():.4f} acc_train: {accuracy(output, labels):.4f}")
model.eval()
output = model(features, adj)
loss_test = F.nll_loss(output[idx_test], labels[idx_test])
print(
    "Test set results:",
    f"loss= {loss_test.item():.4f}",
    f"accuracy= {accuracy(output[idx_test], labels[idx_test]):.4f}",
)

# edges with weights of their own, and rows compressed
weights = torch.zeros(adj._nnz(), requires_grad=True)
attention = torch.sparse.softmax(torch.sparse_coo_tensor(adj.indices(), weights, adj.shape), dim=1)
score = torch.sparse.mm(attention, output.detach()).pow(2).sum()
score.backward()
print("score", score.item(), "gradient", weights.grad.abs().sum().item())
csr = adj.to_sparse_csr()
print("rows begin at", csr.crow_indices()[:5], "product", (csr @ output.detach()).sum(0))
print("transposed", (adj.t() @ output.detach()).sum(0), "twice", (adj @ adj.t()).to_dense().diagonal().sum().item())

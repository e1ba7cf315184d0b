"""A recurrent network written out by hand reads names letter by letter and says from which invented land they come."""

import string

import numpy as np
import torch
from torch import nn

numbers = np.random.default_rng(4)
all_letters = string.ascii_lowercase
n_letters, n_hidden, learning_rate = len(all_letters), 24, 0.02
endings = {"Northern": ["sson", "berg", "lund"], "Southern": ["ini", "ano", "etti"], "Western": ["ham", "ton", "ley"]}
all_categories = list(endings)


def letterToIndex(letter):
    return all_letters.find(letter)


def lineToTensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][letterToIndex(letter)] = 1
    return tensor


def randomTrainingExample():
    category = all_categories[numbers.integers(3)]
    line = "".join(all_letters[i] for i in numbers.integers(0, 26, 2)) + endings[category][numbers.integers(3)]
    category_tensor = torch.tensor([all_categories.index(category)], dtype=torch.long)
    return category, line, category_tensor, lineToTensor(line)


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        return self.softmax(self.i2o(combined)), hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


rnn = RNN(n_letters, n_hidden, len(all_categories))
for name, p in rnn.named_parameters():
    p.data = torch.tensor(numbers.normal(0, 0.2, tuple(p.size())), dtype=p.dtype)
criterion = nn.NLLLoss()


def train(category_tensor, line_tensor):
    hidden = rnn.initHidden()
    rnn.zero_grad()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    loss = criterion(output, category_tensor)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return output, loss.item()


current_loss, guesses = 0, 0
for iter in range(1, 121):
    category, line, category_tensor, line_tensor = randomTrainingExample()
    output, loss = train(category_tensor, line_tensor)
    current_loss += loss
    top_n, top_i = output.topk(1)
    guesses += all_categories[top_i[0].item()] == category
    if iter % 30 == 0:
        print("%d %.4f %d %s" % (iter, current_loss / 30, guesses, line))
        current_loss, guesses = 0, 0

confusion = torch.zeros(3, 3)
with torch.no_grad():
    for i in range(30):
        category, line, category_tensor, line_tensor = randomTrainingExample()
        hidden = torch.zeros(1, n_hidden)
        for letter in line_tensor:
            output, hidden = rnn(letter, hidden)
        confusion[category_tensor.item()][int(output.argmax(1))] += 1
for i in range(3):
    confusion[i] = confusion[i] / confusion[i].sum()
print(confusion)

"""Pictures in folders named by their class."""

import os

from PIL import Image
from torch.utils.data import Dataset


class ImageFolder(Dataset):
    """root/class/picture.png, classes and pictures in the order of their names."""

    def __init__(self, root, transform=None, target_transform=None):
        self.classes = sorted(os.listdir(root))
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        folders = [(os.path.join(root, name), i) for name, i in self.class_to_idx.items()]
        self.samples = [(os.path.join(folder, file), i) for folder, i in folders for file in sorted(os.listdir(folder))]
        self.targets = [i for _, i in self.samples]
        self.transform, self.target_transform = transform, target_transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        image = Image.open(path).convert("RGB")
        image = self.transform(image) if self.transform else image
        return image, self.target_transform(target) if self.target_transform else target

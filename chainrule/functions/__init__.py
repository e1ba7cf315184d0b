"""Every operation on tensors, once: as a function here, and as a method of Tensor by the same definition."""

"""HotFlip's choice of words (Ebrahimi et al. 2018, section 3), in PyTorch; a change after which the loss is lower is taken back, its place closed."""

import torch


class Flips:
    """One text under attack. `open_` says which of its tokens may change, `allowed` into what, `most` how many of them."""

    def __init__(self, clean, table, open_, allowed, most, distance):
        self.clean, self.table, self.most = clean, table, most
        self.ids, self.before, self.height, self.tried = clean.clone(), clean.clone(), None, None
        self.closed = torch.zeros(len(clean), dtype=torch.bool)
        self.may = open_[:, None] & allowed[None, :]
        if distance is not None:
            self.may &= torch.cdist(table[clean], table) <= distance
        # By how much each change was the best, in parts of its gain.
        self.margins = []

    def step(self, loss, gradient):
        """Changes a word at most; `loss` is that of the text as it is, `gradient` `[tokens, width]` that by its embeddings."""
        if self.tried is not None and loss < self.height:
            self.ids, self.closed[self.tried] = self.before.clone(), True
        else:
            self.height = loss.item()
        gain = gradient @ self.table.T - (gradient * self.table[self.ids]).sum(1, keepdim=True)
        changed = self.ids != self.clean
        may = self.may & ((changed | (changed.sum() < self.most)) & ~self.closed)[:, None]
        may[torch.arange(len(self.ids)), self.ids] = False
        best = torch.where(may, gain, torch.tensor(-torch.inf)).flatten().topk(2)
        self.before, self.tried = self.ids.clone(), None
        if best.values[0] <= 0:
            return
        at, first = best.indices[0].item(), best.values[0].item()
        self.tried = at // gain.shape[1]
        self.ids[self.tried] = at % gain.shape[1]
        self.margins.append((first - best.values[1].clamp(min=0).item()) / first)

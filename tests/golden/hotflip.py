"""HotFlip on the prompts of a zero-shot classifier, alone and together with steps of the image, by PyTorch's gradients.

    python hotflip.py

An implementation of its own (`flips.py`) over the model of experiments/clip-evasion. Writes hotflip.npz (images x, labels y) and
hotflip.safetensors: token numbers `[samples, prompts * tokens]` after each setting, adversarial images, and the margin by which each flip was
the best (a smaller one may go the other way in another order of sums).
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from flips import Flips

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "experiments/clip-evasion"
sys.path.insert(0, str(FOLDER))
from train import MEAN, STD, Clip  # noqa: E402

SAMPLES, STEPS = 6, 9
TEMPLATES = ["a chest x-ray of {}", "findings: {}"]
CLASSES = [["normal lungs", "no finding"], ["pneumonia", "lung opacity"]]
SUBSTITUTES = ["mild", "severe", "old", "normal", "infection", "clear", "film", "baby", "without", "effusion"]
# Settings: words that may change, how far the image moves (linf, in pixels), substitutes by list, largest distance.
SETTINGS = {
    "words": (2, 0.0, False, None), "more": (4, 0.0, False, None), "list": (2, 0.0, True, None), "near": (3, 0.0, False, 0.6), "both": (2, 1.0, False, None),
}


class Model:
    def __init__(self):
        self.tokens = Tokenizer.from_file(str(FOLDER / "model/tokenizer.json"))
        self.net = Clip(self.tokens.get_vocab_size())
        self.net.load_state_dict({name: value.float() for name, value in load_file(FOLDER / "model/open_clip_model.safetensors").items()}, strict=False)
        self.net.eval()
        self.table = self.net.text.transformer.embeddings.word_embeddings.weight.detach()
        rows = [self.tokens.encode(t.format(text)).ids for texts in CLASSES for text in texts for t in TEMPLATES]
        longest = max(map(len, rows))
        self.ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        words = [token.isalpha() for token, _ in sorted(self.tokens.get_vocab().items(), key=lambda item: item[1])]
        self.words = torch.tensor(words)

    def logits(self, image, words, mask):
        text = self.net.text.transformer(inputs_embeds=words, attention_mask=mask).last_hidden_state[:, 0]
        text = F.normalize(self.net.text.proj(text), dim=-1)
        k = len(text) // len(CLASSES)
        rows = torch.stack([F.normalize(text[c * k : (c + 1) * k].mean(0), dim=-1) for c in range(len(CLASSES))])
        x = ((image / 255 - MEAN) / STD).reshape(1, 1, 28, 28).expand(-1, 3, -1, -1)
        return self.net.logit_scale.exp() * self.net.image(x) @ rows.T


def attack(model, image, label, most, eps, listed, distance):
    clean, x = model.ids.reshape(-1), image.clone()
    mask = (model.ids > 0).long()
    allowed = model.words
    if listed:
        allowed = torch.zeros_like(allowed)
        allowed[[model.tokens.encode(word, add_special_tokens=False).ids[0] for word in SUBSTITUTES]] = True
    flips = Flips(clean, model.table, model.words[clean], allowed, most, distance)
    for _ in range(STEPS):
        words = model.table[flips.ids].reshape(*model.ids.shape, -1).requires_grad_(True)
        point = x.clone().requires_grad_(True)
        loss = F.cross_entropy(model.logits(point, words, mask), label[None])
        gradient, slope = torch.autograd.grad(loss, [words, point])
        flips.step(loss, gradient.reshape(len(clean), -1))
        if eps:
            x = (x + 0.25 * eps * slope.sign()).clamp(image - eps, image + eps).clamp(0, 255)
    return flips.ids, x.detach(), min(flips.margins, default=1.0)


def main():
    torch.manual_seed(5)
    model = Model()
    noise = F.interpolate(torch.rand(SAMPLES, 1, 5, 5), size=28, mode="bicubic", align_corners=False).clamp(0, 1)
    images = (noise * 255).round().to(torch.uint8)
    x = images.float().reshape(SAMPLES, 28, 28)
    mask = (model.ids > 0).long()
    with torch.no_grad():
        logits = torch.cat([model.logits(one, model.table[model.ids], mask) for one in x])
    y = logits.argmax(1)
    np.savez(HERE / "hotflip.npz", x=images.reshape(SAMPLES, 28, 28).numpy(), y=y.numpy())
    out = {"clean.logits": logits, "clean.ids": model.ids.reshape(-1).float()}
    for name, setting in SETTINGS.items():
        found = [attack(model, one, label, *setting) for one, label in zip(x, y)]
        out[f"{name}.ids"] = torch.stack([ids for ids, _, _ in found]).float()
        out[f"{name}.margin"] = torch.tensor([margin for _, _, margin in found])
        if setting[1]:
            out[f"{name}.x"] = torch.stack([x for _, x, _ in found])
    save_file({name: value.contiguous() for name, value in out.items()}, HERE / "hotflip.safetensors")
    print({name: value.tolist() for name, value in out.items() if "margin" in name})
    print(logits)


if __name__ == "__main__":
    main()

"""HotFlip on the texts of a BERT classifier, by PyTorch's gradients.

    python hotflip_text.py

An implementation of its own (`flips.py`) over a small BertForSequenceClassification of transformers with random weights. Writes the
model with its vocabulary, texts.npz (token numbers x, labels y) and expected.safetensors: token numbers `[samples, tokens]` after each
setting, and the margin by which each flip was the best.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification

from flips import Flips

HERE = Path(__file__).parent / "hotflip_text"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["no", "fever", "cough", "pain", "severe", "mild", "chest", "clear", "lungs", "patient", "reports", "without", "acute", "pneumon", "chronic", "and"]
PIECES = ["##ia", "##itis", "##s"]
MARKS = [".", ",", "12"]
TEXTS = [
    "patient reports severe cough and fever .", "no fever , lungs clear .", "acute pneumonia , chest pain", "mild chronic pneumonitis without pain",
    "cough 12", "chest clear and no pain , no cough , no fevers",
]
# Words that may change, substitutes by list, largest distance.
SETTINGS = {"words": (3, None, None), "list": (2, ["no", "mild", "severe"], None), "near": (2, None, 2.7)}
STEPS = 9


def attack(net, vocabulary, ids, label, most, listed, distance):
    table = net.bert.embeddings.word_embeddings.weight.detach()
    mask = (ids != 0).long()[None]
    is_word = torch.tensor([token.isalpha() for token in vocabulary])
    is_piece = torch.tensor([token.startswith("##") for token in vocabulary])
    allowed = is_word if listed is None else torch.tensor([token in listed for token in vocabulary])
    followed = torch.cat([is_piece[ids][1:], torch.tensor([False])])
    flips = Flips(ids, table, is_word[ids] & ~followed, allowed, most, distance)
    for _ in range(STEPS):
        words = table[flips.ids][None].requires_grad_(True)
        loss = F.cross_entropy(net(inputs_embeds=words, attention_mask=mask).logits, label[None])
        flips.step(loss, torch.autograd.grad(loss, words)[0][0])
    return flips.ids, min(flips.margins, default=1.0)


def main():
    torch.manual_seed(6)
    HERE.mkdir(exist_ok=True)
    vocabulary = SPECIAL + WORDS + PIECES + MARKS
    (HERE / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=16,
        initializer_range=0.4, num_labels=2, problem_type="single_label_classification",
    )
    net = BertForSequenceClassification(config).eval()
    net.save_pretrained(HERE)
    tokens = BertWordPieceTokenizer(str(HERE / "vocab.txt"), lowercase=True)
    tokens.enable_padding(length=16)
    ids = torch.tensor([text.ids for text in tokens.encode_batch(TEXTS)])
    with torch.no_grad():
        y = net(ids, attention_mask=(ids != 0).long()).logits.argmax(1)
    np.savez(HERE / "texts.npz", x=ids.numpy(), y=y.numpy())
    out = {}
    for name, setting in SETTINGS.items():
        found = [attack(net, vocabulary, one, label, *setting) for one, label in zip(ids, y)]
        out[f"{name}.ids"] = torch.stack([ids for ids, _ in found]).float()
        out[f"{name}.margin"] = torch.tensor([margin for _, margin in found])
        print(name, out[f"{name}.margin"].tolist(), (out[f"{name}.ids"] != ids).sum(1).tolist())
    print(y.tolist(), [vocabulary[i] for i in ids[2]])
    save_file({name: value.contiguous() for name, value in out.items()}, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()

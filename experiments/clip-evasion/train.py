"""Trains the small image-text model of this experiment: a vision transformer and a BERT in BiomedCLIP's layout, on PneumoniaMNIST.

    python train.py pneumoniamnist.npz FOLDER

The captions are ours: the data have labels, no reports. Each image meets a random caption of its class; all captions of its class count as
right, those of the other as wrong (Yang et al. 2022, Unified contrastive learning, equation 3). The epoch that is kept has the best balanced
zero-shot accuracy on the validation split, with the prompts of `PROMPTS`. FOLDER gets what open_clip and percuss read: configuration,
weights (f16), tokenizer.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import BertConfig, BertModel

SIDE, FEATURES, WIDTH, CONTEXT = 28, 128, 192, 32
MEAN, STD = 0.57, 0.17
FINDINGS = {
    "normal": [
        "normal lungs", "clear lungs", "healthy lungs", "no finding", "no pneumonia", "no consolidation", "no opacity", "no infection",
        "a normal study", "clear lung fields", "no acute disease", "normal heart and lungs", "no airspace disease", "a healthy child",
    ],
    "pneumonia": [
        "pneumonia", "bacterial pneumonia", "viral pneumonia", "lung opacity", "consolidation", "an infection of the lungs", "airspace disease",
        "an infiltrate", "diffuse opacities", "focal consolidation", "pneumonia in both lungs", "an acute infection", "patchy opacities",
        "a child with pneumonia",
    ],
}
TEMPLATES = [
    "{}", "a chest x-ray of {}", "a chest x-ray showing {}", "chest radiograph with {}", "frontal radiograph: {}", "this image shows {}",
    "an x-ray of a child with {}", "findings: {}", "impression: {}", "the radiologist reports {}", "paediatric chest x-ray, {}",
]
# What the validation split is asked with; the study asks the same.
PROMPTS = {
    "templates": ["a chest x-ray of {}", "chest radiograph with {}", "findings: {}"],
    "normal": ["normal lungs", "clear lungs", "no finding"],
    "pneumonia": ["pneumonia", "lung opacity", "consolidation"],
}
# Words that are in the vocabulary though no caption has them: what an adversary may put into a prompt.
OTHER_WORDS = (
    "mild moderate severe small large left right upper lower middle lobe lobes bilateral unilateral possible probable likely early late "
    "resolving resolved chronic new old stable improved unchanged suspected absent present without evidence of signs effusion oedema "
    "mass nodule fracture device tube line artifact film view portable erect supine infant boy girl patient baby good poor quality"
)


def tokenizer():
    lines = [t.format(text) for texts in FINDINGS.values() for text in texts for t in TEMPLATES] + OTHER_WORDS.split()
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Every word is a token: none of them is rare enough to be left in pieces.
    made.train_from_iterator(lines * 2, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special, show_progress=False))
    made.post_processor = processors.BertProcessing(("[SEP]", made.token_to_id("[SEP]")), ("[CLS]", made.token_to_id("[CLS]")))
    return made


class Text(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        config = BertConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3, intermediate_size=4 * WIDTH,
            max_position_embeddings=64, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0,
        )
        self.transformer = BertModel(config, add_pooling_layer=False)
        hidden = (WIDTH + FEATURES) // 2
        self.proj = nn.Sequential(nn.Linear(WIDTH, hidden, bias=False), nn.GELU(), nn.Linear(hidden, FEATURES, bias=False))

    def forward(self, ids):
        out = self.transformer(input_ids=ids, attention_mask=(ids != 0).long())
        return F.normalize(self.proj(out.last_hidden_state[:, 0]), dim=-1)


class Clip(nn.Module):
    """Named as open_clip names a CustomTextCLIP with a timm trunk and a Hugging Face text tower."""

    def __init__(self, vocabulary):
        super().__init__()
        trunk = VisionTransformer(
            img_size=SIDE, patch_size=4, embed_dim=WIDTH, depth=4, num_heads=3, num_classes=0, global_pool="token", drop_path_rate=0.1
        )
        self.visual = nn.ModuleDict({"trunk": trunk, "head": nn.ModuleDict({"proj": nn.Linear(WIDTH, FEATURES, bias=False)})})
        self.text = Text(vocabulary)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def image(self, x):
        return F.normalize(self.visual["head"]["proj"](self.visual["trunk"](x)), dim=-1)


def images(array):
    x = torch.from_numpy(array.astype(np.float32) / 255).reshape(-1, 1, SIDE, SIDE)
    return ((x - MEAN) / STD).expand(-1, 3, -1, -1)


def varied(x, generator):
    """Shifts, turns, zoom, contrast and brightness, one draw an image."""
    n = len(x)
    draw = lambda low, high: torch.rand(n, generator=generator) * (high - low) + low
    angle, zoom = draw(-0.2, 0.2), draw(0.85, 1.15)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = zoom * torch.cos(angle), -zoom * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = zoom * torch.sin(angle), zoom * torch.cos(angle)
    theta[:, 0, 2], theta[:, 1, 2] = draw(-0.15, 0.15), draw(-0.15, 0.15)
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return x * draw(0.7, 1.3)[:, None, None, None] + draw(-0.4, 0.4)[:, None, None, None]


def encode(made, texts):
    rows = [made.encode(text).ids for text in texts]
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


@torch.no_grad()
def classifier(model, made):
    rows = []
    for name in FINDINGS:
        texts = [template.format(text) for text in PROMPTS[name] for template in PROMPTS["templates"]]
        rows.append(F.normalize(model.text(encode(made, texts)).mean(0), dim=-1))
    return torch.stack(rows)


@torch.no_grad()
def accuracy(model, made, x, y):
    model.eval()
    said = (torch.cat([model.image(part) for part in x.split(256)]) @ classifier(model, made).T).argmax(-1)
    right = (said == y).float()
    return right.mean().item(), np.mean([right[y == c].mean().item() for c in (0, 1)])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("folder", type=Path)
    options.add_argument("--epochs", type=int, default=16)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    data = np.load(options.data)
    sets = {name: (images(data[f"{name}_images"]), torch.from_numpy(data[f"{name}_labels"].reshape(-1).astype(np.int64))) for name in ("train", "val", "test")}
    made = tokenizer()
    captions = {c: [t.format(text) for text in texts for t in TEMPLATES] for c, texts in enumerate(FINDINGS.values())}
    ids = encode(made, captions[0] + captions[1])
    first = [0, len(captions[0])]
    model = Clip(made.get_vocab_size())
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million weights, {made.get_vocab_size()} tokens", flush=True)
    x, y = sets["train"]
    batch = 128
    steps = options.epochs * len(x) // batch
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps, pct_start=0.1)
    # Both classes are drawn alike.
    weights = 1.0 / torch.bincount(y)[y].double()
    best, kept = 0.0, None
    for step in range(steps):
        model.train()
        chosen = torch.multinomial(weights, batch, replacement=True, generator=generator)
        labels = y[chosen]
        count = torch.tensor([len(captions[0]), len(captions[1])])[labels]
        picked = torch.tensor(first)[labels] + (torch.rand(batch, generator=generator) * count).long()
        image, text = model.image(varied(x[chosen], generator)), model.text(ids[picked])
        logits = model.logit_scale.exp().clamp(max=100) * image @ text.T
        alike = (labels[:, None] == labels[None, :]).float()
        wanted = alike / alike.sum(1, keepdim=True)
        loss = -(wanted * logits.log_softmax(1)).sum(1).mean() - (wanted * logits.T.log_softmax(1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % (len(x) // batch) == 0:
            plain, balanced = accuracy(model, made, *sets["val"])
            print(f"step {step + 1}: loss {loss.item():.3f}, validation accuracy {plain:.4f}, balanced {balanced:.4f}", flush=True)
            if balanced > best:
                best, kept = balanced, {name: value.clone() for name, value in model.state_dict().items()}
    # What is attacked are the weights as they are stored.
    model.load_state_dict({name: value.half().float() if value.is_floating_point() else value for name, value in kept.items()})
    for name in ("val", "test"):
        print(name, "accuracy {:.4f}, balanced {:.4f}".format(*accuracy(model, made, *sets[name])), flush=True)
    write(model, made, options.folder)


def write(model, made, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    made.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(model.text.transformer.config.to_json_string(use_diff=False))
    config = {
        "model_cfg": {
            "embed_dim": FEATURES,
            "vision_cfg": {"timm_model_name": f"vit_tiny_patch4_{SIDE}", "timm_pool": "", "timm_proj": "linear", "image_size": SIDE},
            "text_cfg": {
                "hf_model_name": "bert", "hf_tokenizer_name": "bert", "hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler",
                "context_length": CONTEXT,
            },
        },
        "preprocess_cfg": {"mean": [MEAN] * 3, "std": [STD] * 3},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()

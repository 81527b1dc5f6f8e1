"""Writes a folder for benches/full_size.rs: `python full_size.py FOLDER`.

BiomedCLIP's architecture (timm's ViT-B/16 at 224 pixels, BERT-base, the mlp projection) through open_clip with random weights from a seed,
saved as a checkpoint of the published layout and converted by experiments/clip-evasion/convert.py; logits and image gradients of four
images in float64, and PyTorch's own float32 beside them. Too large to be committed: about 1.7 GB.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import open_clip
import torch
import transformers
from torch.nn import functional as F

import store
from clip import CLASSES, FOLDER, OPENAI_MEAN, OPENAI_STD, TEMPLATES, numbers

HERE = Path(__file__).resolve().parent
CONVERT = HERE.parent.parent / "experiments" / "clip-evasion" / "convert.py"
# As published in the model's open_clip_config.json.
MODEL = {
    "embed_dim": 512,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_224", "timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear",
        "image_size": 224,
    },
    "text_cfg": {
        "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 256,
    },
}
CONFIG = {"model_cfg": MODEL, "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}}
IMAGES = 32


def build():
    torch.manual_seed(5)
    cfg = json.loads(json.dumps(MODEL))
    with tempfile.TemporaryDirectory() as there:
        transformers.BertConfig().save_pretrained(there)
        cfg["text_cfg"] |= {"hf_model_name": there, "hf_model_pretrained": False}
        return open_clip.CustomTextCLIP(**cfg).eval()


def answers(model, pixels, rows, labels):
    """Logits of the classes and the gradient of their cross-entropy to the pixels."""
    pixels = pixels.clone().requires_grad_(True)
    mean, std = (torch.tensor(v, dtype=pixels.dtype).reshape(3, 1, 1) for v in (OPENAI_MEAN, OPENAI_STD))
    image = F.normalize(model.encode_image((pixels / 255 - mean) / std), dim=-1)
    logits = model.logit_scale.exp() * image @ rows.T
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), pixels)
    return logits.detach(), gradient


def class_rows(model, tokenizer):
    rows = []
    for texts in CLASSES.values():
        ids = numbers(tokenizer, [t.replace("{}", text) for text in texts for t in TEMPLATES], 256)
        with torch.no_grad():
            own = F.normalize(model.encode_text(ids), dim=-1).mean(dim=0)
        rows.append(F.normalize(own, dim=-1))
    return torch.stack(rows)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    model = build()
    with tempfile.TemporaryDirectory(dir=folder) as published:
        published = Path(published)
        # Some published checkpoints have this buffer of older transformers.
        state = model.state_dict() | {"text.transformer.embeddings.position_ids": torch.arange(512)[None]}
        torch.save(state, published / "open_clip_pytorch_model.bin")
        (published / "open_clip_config.json").write_text(json.dumps(CONFIG))
        shutil.copyfile(FOLDER / "wordpiece" / "tokenizer.json", published / "tokenizer.json")
        subprocess.run([sys.executable, CONVERT, published, folder / "model"], check=True)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(FOLDER / "wordpiece" / "tokenizer.json"), pad_token="[PAD]"
    )
    random = np.random.default_rng(5)
    images = random.integers(0, 256, (IMAGES, 14, 14, 3)).repeat(16, axis=1).repeat(16, axis=2)
    images = np.clip(images + random.integers(-20, 21, images.shape), 0, 255).astype(np.uint8)
    labels = torch.arange(IMAGES) % 3
    few = torch.from_numpy(images[:4]).permute(0, 3, 1, 2)
    single = answers(model, few.float(), class_rows(model, tokenizer), labels[:4])
    model = model.double()
    logits, gradient = answers(model, few.double(), class_rows(model, tokenizer), labels[:4])
    for name, own, exact in (("logits", single[0], logits), ("gradients", single[1], gradient)):
        print(f"PyTorch's own float32 {name}: off by {float((own - exact).abs().max() / exact.abs().max()):.1e} of the largest")
    print(f"logits from {logits.min():.4f} to {logits.max():.4f}; largest gradient {gradient.abs().max():.1e}")
    store.save(folder / "expected.safetensors", {
        "pixels": few.float(), "labels": labels[:4], "logits": logits, "grad_pixels": gradient,
    }, {"classes": list(CLASSES.items()), "templates": TEMPLATES})
    np.savez(folder / "images.npz", x=images, y=labels.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

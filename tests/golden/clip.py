"""Writes the golden values of image-text models: `python clip.py [NAME ...]`.

open_clip's own towers, timm and BERT towers in open_clip as BiomedCLIP has them, Hugging Face's CLIPModel: tiny, weights and images by
formula.py, computed in float64. Their tokenizers are made of a few sentences and saved as the ecosystem saves them.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import open_clip
import timm
import tokenizers
import torch
import transformers
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from tokenizers import pre_tokenizers
from torch.nn import functional as F

import formula
import store

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "clip"
OPENAI_MEAN, OPENAI_STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
SENTENCES = """
a chest x-ray of a healthy lung
a chest radiograph showing pneumonia
no acute cardiopulmonary finding; the lungs are clear
consolidation in the left lower lobe, consistent with pneumonia
a frontal view of the chest of a child
the patient's heart is of normal size, 12 cm
opacity in the right lung suggests bacterial pneumonia
normal chest x-ray without infiltrates
""".strip().splitlines()
# Both with the same number of classes, some of several prompts, lengths that differ.
CLASSES = {
    "pneumonia": ["pneumonia", "consolidation in the left lower lobe", "bacterial pneumonia"],
    "normal": ["a healthy lung"],
    "heart": ["the patient's heart of 12 cm", "a normal heart"],
}
TEMPLATES = ["a chest x-ray of {}", "{}"]
ODD = [
    "pneumonia",
    "  A Chest\tX-RAY:\n  pneumonia?! ",
    "na\u00efve caf\u00e9 \u2014 \u00dcber-dense; 1234 zebras",
    "the patient's lungs aren't clear (really)",
    "\u4e2d\u6587 lung",
]


def formula_parameter(name, shape):
    """formula.py's values, and those of the tensors that only transformers have."""
    kind = name.rsplit(".", 1)[-1]
    if kind in ("in_proj_weight", "in_proj_bias"):
        weight = kind == "in_proj_weight"
        return formula.signed(name, shape, np.float32(np.sqrt(np.float64(3) / np.float64(shape[1]))) if weight else 0.1)
    if kind in ("class_embedding", "positional_embedding", "cls_token", "pos_embed"):
        return formula.signed(name, shape, 0.5)
    if kind in ("proj", "text_projection"):
        return formula.signed(name, shape, np.float32(np.sqrt(np.float64(3) / np.float64(shape[0]))))
    if kind in ("logit_scale", "logit_bias"):
        return np.float32(1) + formula.unit(name, shape if shape else (1,)).reshape(shape)
    return formula.parameter(name, shape)


def filled(model):
    state = model.state_dict()
    for name, tensor in state.items():
        state[name] = torch.from_numpy(np.ascontiguousarray(formula_parameter(name, tuple(tensor.shape))))
    model.load_state_dict(state)
    return model.double().eval()


# Tokenizers


def saved(tokenizer, folder):
    """The tokenizer, after its tokenizer.json is written as transformers writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as there:
        tokenizer.save_pretrained(there)
        (folder / "tokenizer.json").write_bytes((Path(there) / "tokenizer.json").read_bytes())
    return tokenizer


def bert_tokenizer(folder):
    """An uncased WordPiece tokenizer: letters, and two of three words of the sentences, so that the rest is read in pieces."""
    rules = transformers.BertTokenizer()._tokenizer
    text = rules.normalizer.normalize_str(" ".join(SENTENCES))
    words = sorted({word for word, _ in rules.pre_tokenizer.pre_tokenize_str(text)})
    letters = sorted(set("".join(words)))
    pieces = [*letters, *(f"##{letter}" for letter in letters), *(word for i, word in enumerate(words) if i % 3 and len(word) > 1)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    tokenizer = saved(transformers.BertTokenizer(vocab={token: i for i, token in enumerate(vocab)}), folder)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    return tokenizer


def clip_tokenizer(folder):
    """A byte-level BPE tokenizer with CLIP's rules: bytes, bytes at a word's end, merges, start and end."""
    rules = transformers.CLIPTokenizer()._tokenizer
    text = rules.normalizer.normalize_str(" ".join(SENTENCES))
    words = Counter(word for word, _ in rules.pre_tokenizer.pre_tokenize_str(text))
    merges = most_frequent_merges({(*word[:-1], word[-1] + "</w>"): count for word, count in words.items()}, 140)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet), *("".join(pair) for pair in merges)]
    vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return saved(transformers.CLIPTokenizer(vocab=vocab, merges=merges), folder)


def most_frequent_merges(words, number):
    """Byte-pair encoding: the most frequent pair of neighbours becomes one, again and again; of equals the first by spelling."""
    merges = []
    for _ in range(number):
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {merged(word, best): count for word, count in words.items()}
    return merges


def merged(word, pair):
    out, i = [], 0
    while i < len(word):
        both = word[i:i + 2] == pair
        out.append("".join(pair) if both else word[i])
        i += 2 if both else 1
    return tuple(out)


def numbers(tokenizer, texts, context, padding=None):
    """As open_clip's and Hugging Face's processors do it: white space tidied, cut and padded to the context."""
    texts = [" ".join(text.split()) for text in texts]
    options = {"max_length": context, "padding": "max_length", "truncation": True, "return_tensors": "pt"}
    ids = tokenizer(texts, **options).input_ids
    return ids if padding is None else torch.where(mask_after_end(ids), torch.tensor(padding), ids)


def mask_after_end(ids):
    """Where a text of CLIP has ended."""
    return (ids == ids.max()).cumsum(1) - (ids == ids.max()).long() > 0


# Models


@register_model
def vit_tiny_patch4_16(pretrained=False, **kwargs):
    """A ViT of two blocks with the number of heads that timm's tiny ones have, which is not one for each 64 values."""
    kwargs.pop("pretrained_cfg", None), kwargs.pop("pretrained_cfg_overlay", None), kwargs.pop("cache_dir", None)
    model = VisionTransformer(img_size=16, patch_size=4, embed_dim=96, depth=2, num_heads=3, mlp_ratio=2.0, **kwargs)
    model.default_cfg = {}
    return model


BERT = {
    "model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 192,
    "max_position_embeddings": 40, "type_vocab_size": 2, "pad_token_id": 0,
}


# What BiomedCLIP's configuration says of its text's side.
PUBLISHED = {"hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler"}


def open_clip_model(model_cfg, bert=None):
    """The model, and the files that its folder would have."""
    files = {"open_clip_config.json": {"model_cfg": model_cfg, "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}}}
    cfg = json.loads(json.dumps(model_cfg))
    custom = cfg.pop("custom_text", False) or bert is not None
    with tempfile.TemporaryDirectory() as there:
        if bert is not None:
            (Path(there) / "config.json").write_text(json.dumps(bert))
            cfg["text_cfg"]["hf_model_name"] = there
            cfg["text_cfg"]["hf_model_pretrained"] = False
        model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**cfg)
    return filled(model), files


def native(tokenizer):
    cfg = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 4, "mlp_ratio": 3.0},
        "text_cfg": {"context_length": 20, "vocab_size": len(tokenizer), "width": 32, "heads": 4, "layers": 2},
    }
    return *open_clip_model(cfg), 20, 0


def native_apart(tokenizer):
    """The other choices of open_clip: towers apart, patches averaged, no norm before, biases, an end by its number."""
    cfg = {
        "embed_dim": 24,
        "custom_text": True,
        "init_logit_bias": -10.0,
        "vision_cfg": {
            "image_size": [16, 12], "layers": 1, "width": 32, "head_width": 32, "patch_size": 4, "pool_type": "avg",
            "final_ln_after_pool": True, "no_ln_pre": True,
        },
        "text_cfg": {
            "context_length": 24, "vocab_size": len(tokenizer), "width": 48, "heads": 4, "layers": 1, "pool_type": "eos",
            "eos_id": len(tokenizer) - 1, "proj_bias": True, "act_kwargs": {"approximate": "tanh"},
        },
    }
    return *open_clip_model(cfg), 24, 0


def biomed(tokenizer, text=PUBLISHED, image_proj="linear", pool="", features=24):
    """BiomedCLIP's configuration with small towers; `text` is what it says of the text's pooler and projection."""
    cfg = {
        "embed_dim": features,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch4_16", "timm_model_pretrained": False, "timm_pool": pool,
            "timm_proj": image_proj, "image_size": 16,
        },
        "text_cfg": {
            "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            **text, "context_length": 32,
        },
    }
    return *open_clip_model(cfg, {**BERT, "vocab_size": len(tokenizer)}), 32, None


def biomed_mean(tokenizer):
    return biomed(tokenizer, {"hf_pooler_type": "mean_pooler", "hf_proj_type": "linear"}, "mlp", "avg")


def biomed_pooler(tokenizer):
    return biomed(tokenizer, {**PUBLISHED, "hf_pooler_type": "cls_pooler"})


def biomed_silent(tokenizer):
    """Nothing said of the text's pooler and projection, which is another thing than null; features as many as the text is wide."""
    return biomed(tokenizer, {}, features=128)


def biomed_null(tokenizer):
    return biomed(tokenizer, {"hf_pooler_type": None, "hf_proj_type": None}, features=128)


def hugging_face(tokenizer):
    tower = {"hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**tower, "vocab_size": len(tokenizer), "max_position_embeddings": 22, "num_attention_heads": 4,
                     "eos_token_id": len(tokenizer) - 1, "bos_token_id": len(tokenizer) - 2},
        vision_config={**tower, "image_size": 16, "patch_size": 8},
        projection_dim=24,
    )
    model = filled(transformers.CLIPModel(config))
    kept = json.loads(config.to_json_string(use_diff=True))
    processor = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.25, 0.3, 0.35]}
    return model, {"config.json": kept, "preprocessor_config.json": processor}, 22, None


MODELS = {
    "clip_open_clip": (native, "bpe"),
    "clip_open_clip_apart": (native_apart, "bpe"),
    "clip_biomed": (biomed, "wordpiece"),
    "clip_biomed_mean": (biomed_mean, "wordpiece"),
    "clip_biomed_pooler": (biomed_pooler, "wordpiece"),
    "clip_biomed_silent": (biomed_silent, "wordpiece"),
    "clip_biomed_null": (biomed_null, "wordpiece"),
    "clip_hugging_face": (hugging_face, "bpe"),
}


def image_features(model, x):
    return model.encode_image(x) if hasattr(model, "encode_image") else model.get_image_features(x).pooler_output


def text_features(model, ids):
    return model.encode_text(ids) if hasattr(model, "encode_text") else model.get_text_features(ids).pooler_output


def word_table(model):
    tables = [m for m in model.modules() if isinstance(m, torch.nn.Embedding) and m.num_embeddings > 60]
    return tables[0]


def cosine_logits(model, image, text):
    logits = model.logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    bias = getattr(model, "logit_bias", None)
    return logits if bias is None else logits + bias


def golden(name):
    build, kind = MODELS[name]
    tokenizer = TOKENIZERS[kind]
    model, files, context, padding = build(tokenizer)
    size = next(iter(files.values())).get("model_cfg", {}).get("vision_cfg", {}).get("image_size", 16)
    size = size if isinstance(size, list) else [size, size]
    pixels = torch.from_numpy(formula.unit("pixels", (3, 3, *size))).double() * 255
    pixels.requires_grad_(True)
    processor = files.get("preprocessor_config.json", {"image_mean": OPENAI_MEAN, "image_std": OPENAI_STD})
    mean, std = (torch.tensor(processor[key]).double().reshape(3, 1, 1) for key in ("image_mean", "image_std"))
    image = image_features(model, (pixels / 255 - mean) / std)
    prompts = {c: [t.replace("{}", text) for text in texts for t in TEMPLATES] for c, texts in CLASSES.items()}
    flat = [prompt for texts in prompts.values() for prompt in texts]
    ids = numbers(tokenizer, flat, context, padding)
    words = []
    handle = word_table(model).register_forward_hook(lambda module, inputs, out: words.append(out))
    text = text_features(model, ids)
    handle.remove()
    logits = cosine_logits(model, image, text)
    labels = torch.tensor([1, 0, 2])
    # Of the similarity of every image with every text, so that no text is left out.
    (grad_words,) = torch.autograd.grad(F.log_softmax(logits, dim=1)[:, 3].sum(), words, retain_graph=True)
    rows, first = [], 0
    for texts in prompts.values():
        own = F.normalize(text[first:first + len(texts)], dim=-1).mean(dim=0)
        rows.append(F.normalize(own, dim=-1))
        first += len(texts)
    zero_shot = cosine_logits(model, image, torch.stack(rows))
    (grad_pixels,) = torch.autograd.grad(F.cross_entropy(zero_shot, labels, reduction="sum"), pixels)
    # What follows the end of the longest text has no influence.
    longest = max(int(row.nonzero().max()) + 1 if kind == "wordpiece" else int(row.argmax()) + 1 for row in ids)
    assert longest < context and not grad_words[:, longest:].abs().max() > 0
    odd = numbers(tokenizer, ODD, context, padding)
    tensors = {
        "image_features": image, "text_features": text, "logits": logits, "grad_words": grad_words[:4, :longest], "zero_shot": zero_shot,
        "grad_pixels": grad_pixels, "labels": labels, "ids": ids, "odd_ids": odd,
    }
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    versions = {m.__name__: m.__version__ for m in (open_clip, timm, transformers, tokenizers)}
    made_by = ", ".join(f"{name} {version}" for name, version in versions.items())
    store.save(HERE / f"{name}.safetensors", tensors, {
        "files": files, "shapes": shapes, "tokenizer": kind, "context": context, "size": size, "classes": list(CLASSES.items()),
        "templates": TEMPLATES, "odd": ODD, "made_by": f"torch {torch.__version__.split('+')[0]}, {made_by}",
    })


def text_classifier():
    """Hugging Face's BertForSequenceClassification on texts that are filled up."""
    tokenizer = TOKENIZERS["wordpiece"]
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**BERT, "vocab_size": len(tokenizer), "hidden_act": "gelu_new", "num_labels": 3})
    config.architectures = ["BertForSequenceClassification"]
    model = filled(transformers.BertForSequenceClassification(config))
    ids = numbers(tokenizer, SENTENCES[:4], BERT["max_position_embeddings"])
    words = []
    handle = word_table(model).register_forward_hook(lambda module, inputs, out: words.append(out))
    logits = model(input_ids=ids, attention_mask=(ids != 0).long()).logits
    handle.remove()
    labels = torch.tensor([1, 0, 2, 1])
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), words)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    files = {"config.json": json.loads(config.to_json_string(use_diff=True))}
    store.save(HERE / "bert.safetensors", {"ids": ids, "labels": labels, "logits": logits, "grad_words": gradient[:2]}, {
        "files": files, "shapes": shapes, "tokenizer": "wordpiece",
        "made_by": f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}",
    })


def resampling():
    """Images brought to a size by PyTorch as Pillow does it, and the gradients of their squares."""
    tensors = {}
    for kind in ("bilinear", "bicubic"):
        for name, shape, size in (("up", (1, 7, 6), (16, 16)), ("down", (3, 20, 26), (8, 8)), ("eight", (1, 4, 4), (32, 32))):
            x = torch.from_numpy(formula.unit(f"resize.{name}", (2, *shape))).double().requires_grad_(True)
            whole = [round_down(side, shape[1:], size) for side in shape[1:]]
            y = F.interpolate(x, whole, mode=kind, antialias=True, align_corners=False)
            top, left = (int(round((w - s) / 2)) for w, s in zip(whole, size))
            y = y[:, :, top:top + size[0], left:left + size[1]]
            (gradient,) = torch.autograd.grad(y.square().sum(), x)
            tensors |= {f"{kind}.{name}": y, f"{kind}.{name}.grad": gradient}
    store.save(HERE / "resize.safetensors", tensors, {"made_by": f"torch {torch.__version__.split('+')[0]}"})


def round_down(side, shape, size):
    """The shorter side becomes the size, the other keeps the ratio, as torchvision's Resize has it."""
    short = min(shape)
    return size[0] if side == short else int(size[0] * side / short)


TOKENIZERS = {"wordpiece": bert_tokenizer(FOLDER / "wordpiece"), "bpe": clip_tokenizer(FOLDER / "bpe")}

if __name__ == "__main__":
    torch.manual_seed(0)
    for wanted in sys.argv[1:] or [*MODELS, "bert", "resize"]:
        {"bert": text_classifier, "resize": resampling}.get(wanted, lambda: golden(wanted))()

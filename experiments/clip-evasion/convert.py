"""Makes a folder that percuss reads of BiomedCLIP's published checkpoint (or another model of open_clip's).

    python convert.py --list              # what to download, and from where
    python convert.py DOWNLOADED OUT      # the folder of those files to a folder with safetensors

Weights are only ever read as safetensors by percuss, since a pickle can run code; torch opens it here with weights_only=True. Needs torch and
safetensors. Where other names lie in the folder (open_clip_model.safetensors instead of the .bin), they are taken as they are.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

HUB = "https://huggingface.co"
MODEL = "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
TEXT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
CONFIG = "open_clip_config.json"
CHECKPOINTS = ["open_clip_pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"]
TOKENIZERS = ["tokenizer.json", "vocab.txt"]
WANTED = "open_clip_model.safetensors"

FILES = f"""
From {HUB}/{MODEL}/resolve/main/ :
  {CONFIG}        the model's configuration
  {CHECKPOINTS[0]}  the weights, about 0.8 GB
  tokenizer.json               the tokenizer (or vocab.txt and tokenizer_config.json)
From {HUB}/{TEXT}/resolve/main/ :
  config.json                  the configuration of the text's side, which is not in open_clip's (BERT-base's values if it is left out)
Put them all into one folder. The licence of the model is its publisher's: see its page.
""".strip()


def state_dict(path):
    """The tensors of a checkpoint by name."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def convert(source, out):
    import torch
    from safetensors.torch import save_file

    config = source / CONFIG
    if not config.is_file():
        sys.exit(f"{config}: no such file; --list says what is needed")
    cfg = json.loads(config.read_text())
    cfg = cfg.get("model_cfg", cfg)
    checkpoint = next((source / name for name in CHECKPOINTS if (source / name).is_file()), None)
    if checkpoint is None:
        sys.exit(f"{source}: none of {', '.join(CHECKPOINTS)}; --list says what is needed")
    if not any((source / name).is_file() for name in TOKENIZERS):
        sys.exit(f"{source}: neither tokenizer.json nor vocab.txt; --list says what is needed")
    tensors = {}
    for name, tensor in state_dict(checkpoint).items():
        # Counters and positions are made, not learnt.
        if name.rsplit(".", 1)[-1] in ("position_ids", "num_batches_tracked"):
            continue
        if not tensor.is_floating_point():
            sys.exit(f"{checkpoint}: tensor {name} is {tensor.dtype}, not a number that percuss reads")
        if not torch.isfinite(tensor).all():
            sys.exit(f"{checkpoint}: tensor {name} is not finite")
        tensors[name] = tensor.detach().contiguous().clone()
    if "logit_scale" not in tensors:
        sys.exit(f"{checkpoint}: no tensor logit_scale; this is no image-text model of open_clip")
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / WANTED)
    copied = [CONFIG, *TOKENIZERS, "tokenizer_config.json", "config.json"]
    for name in copied:
        if (source / name).is_file() and source.resolve() != out.resolve():
            shutil.copyfile(source / name, out / name)
    text = cfg.get("text_cfg", {}).get("hf_model_name")
    if text and not (out / "config.json").is_file():
        print(f"no config.json of {text}: percuss takes heads of 64 values, GELU and an epsilon of 1e-12, as BERT-base has them")
    values = sum(tensor.numel() for tensor in tensors.values())
    print(f"{out / WANTED}: {len(tensors)} tensors, {values:,} values")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="say what to download")
    parser.add_argument("downloaded", nargs="?", type=Path)
    parser.add_argument("out", nargs="?", type=Path)
    arguments = parser.parse_args()
    if arguments.list:
        print(FILES)
    elif arguments.downloaded and arguments.out:
        convert(arguments.downloaded, arguments.out)
    else:
        parser.error("a folder with the downloaded files and one to write, or --list")


if __name__ == "__main__":
    main()

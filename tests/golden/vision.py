"""Writes the golden values of families that read other ecosystems' files: `python vision.py [NAME ...]`.

Small networks are built by timm, transformers, torchvision and torchxrayvision themselves, take weights and inputs from formula.py, and
are computed in float64. Their configurations are what the ecosystem writes; torchvision and torchxrayvision write none.
`names.json` has, for networks of full size, a digest of the names and shapes in their files.
"""

import functools
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
import torchxrayvision
import transformers
from safetensors.torch import load_file, save_file
from timm.models._hub import save_config_for_hf
from timm.models.efficientnet import EfficientNet
from timm.models._efficientnet_builder import decode_arch_def
from timm.layers import BatchNormAct2d
from torch import nn
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.convnext import CNBlockConfig

import formula
import store

HERE = Path(__file__).resolve().parent
TOOLS = {"torch": torch, "torchvision": torchvision, "timm": timm, "transformers": transformers, "numpy": np}
TRIES = 24


def timm_config(model, arguments=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        save_config_for_hf(model, path, model_args=arguments)
        return json.loads(path.read_text())


def timm_model(name, side=32, **arguments):
    model = timm.create_model(name, pretrained_cfg_overlay={"input_size": (arguments.get("in_chans", 3), side, side)}, **arguments)
    return model, {"config": timm_config(model, arguments)}


class HuggingFace(nn.Module):
    """A transformers model that was read from a file of the formula's values: names in memory are others than in the file."""

    def __init__(self, config, kind):
        super().__init__()
        with tempfile.TemporaryDirectory() as folder:
            kind(config).save_pretrained(folder)
            file = Path(folder) / "model.safetensors"
            shapes = {name: tuple(value.shape) for name, value in load_file(file).items()}
            self.written = {name: torch.from_numpy(formula.parameter(name, shape)) for name, shape in shapes.items()}
            save_file(self.written, file, {"format": "pt"})
            self.config = json.loads((Path(folder) / "config.json").read_text())
            self.model = kind.from_pretrained(folder)

    def fill(self):
        return self

    def forward(self, x):
        return self.model(x).logits


def hugging_face(config, kind):
    model = HuggingFace(config, kind)
    # As published ones are.
    preprocessor = {
        "do_normalize": True, "do_rescale": True, "do_resize": True, "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.4, 0.6], "image_std": [0.5, 0.25, 0.2], "image_processor_type": "ViTImageProcessor",
    }
    return model, {"config": model.config, "preprocessor": preprocessor}


def vit_timm(**arguments):
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 3}
    return timm_model("vit_tiny_patch16_224", **sizes, **arguments)


def vit_hugging_face(**keys):
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=[24, 32], patch_size=8,
        id2label={0: "clear", 1: "effusion", 2: "mass"}, label2id={"clear": 0, "effusion": 1, "mass": 2}, **keys)
    return hugging_face(config, transformers.ViTForImageClassification)


def vit_torchvision():
    model = torchvision.models.VisionTransformer(32, 8, 2, 3, 24, 40, num_classes=3)
    config = {
        "architecture": "vit", "names": "torchvision", "input": [32, 32, 3], "classes": 3, "patch": 8, "width": 24, "depth": 2,
        "heads": 3, "mlp": 40,
    }
    return model, {"config": config}


def densenet_timm():
    return timm_model("densenet121", growth_rate=4, block_config=(2, 3), num_classes=3)


DENSENET = {"blocks": [2, 3], "growth": 4, "stem": 6, "bottleneck": 2}


def densenet_torchvision():
    model = torchvision.models.DenseNet(4, (2, 3), 6, 2, num_classes=3)
    return model, {"config": {"architecture": "densenet", "input": [35, 32, 3], "classes": 3, **DENSENET}}


class Normalised(nn.Module):
    """torchxrayvision's network behind its own scaling of 8-bit images."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def fill(self):
        formula.fill(self.model)
        return self

    def forward(self, x):
        return self.model((2 * (x / 255) - 1.0) * 1024)


def densenet_torchxrayvision():
    model = Normalised(torchxrayvision.models.DenseNet(4, (2, 3), 6, 2))
    scaling = {"mean": [127.5], "std": [127.5 / 1024], "unit": "pixel"}
    config = {
        "architecture": "densenet", "input": [32, 32, 1], "classes": 18, "head": "sigmoid", "input_scaling": scaling, **DENSENET,
    }
    check = np.float32([0, 51, 127, 255])
    np.testing.assert_allclose(torchxrayvision.utils.normalize(check, 255), (check - 127.5) / (127.5 / 1024), rtol=1e-5)
    return model, {"config": config, "pixels": True}


STAGES = [
    {"expand": 1, "kernel": 3, "stride": 1, "out": 8, "blocks": 1},
    {"expand": 3, "kernel": 5, "stride": 2, "out": 16, "blocks": 2},
    {"expand": 2, "kernel": 3, "stride": 2, "out": 24, "blocks": 1},
]
EFFICIENTNET = {"architecture": "efficientnet", "classes": 3, "stem": 8, "stages": STAGES, "last": 32}


def efficientnet_torchvision():
    inputs = [8, 8, 16]
    setting = [
        MBConvConfig(s["expand"], s["kernel"], s["stride"], i, s["out"], s["blocks"]) for s, i in zip(STAGES, inputs)
    ]
    model = torchvision.models.EfficientNet(setting, 0.0, num_classes=3, last_channel=32)
    return model, {"config": EFFICIENTNET | {"names": "torchvision", "input": [33, 32, 3]}}


def efficientnet_timm(same=False):
    kind = {True: "ds", False: "ir"}
    blocks = [
        [f"{kind[s['expand'] == 1]}_r{s['blocks']}_k{s['kernel']}_s{s['stride']}_e{s['expand']}_c{s['out']}_se0.25"] for s in STAGES
    ]
    # As timm makes B0, and its tf_ kin.
    extra = {"pad_type": "same"} if same else {}
    model = EfficientNet(
        decode_arch_def(blocks), num_classes=3, num_features=32, stem_size=8, round_chs_fn=lambda channels: int(channels),
        act_layer=nn.SiLU, norm_layer=functools.partial(BatchNormAct2d, eps=1e-3 if same else 1e-5), **extra)
    own = {"epsilon": 1e-3, "padding": "same"} if same else {}
    return model, {"config": EFFICIENTNET | {"names": "timm", "input": [33, 32, 3]} | own}


def convnext_timm():
    return timm_model("convnext_tiny", depths=(1, 2, 1, 1), dims=(8, 12, 8, 12), num_classes=3)


def convnext_torchvision():
    setting = [CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 2)]
    model = torchvision.models.ConvNeXt(setting, num_classes=3)
    config = {
        "architecture": "convnext", "names": "torchvision", "input": [40, 32, 3], "classes": 3, "widths": [8, 12], "blocks": [1, 2],
    }
    return model, {"config": config}


def convnext_hugging_face():
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 12], depths=[1, 2], num_stages=2, image_size=32, id2label={0: "a", 1: "b", 2: "c"})
    return hugging_face(config, transformers.ConvNextForImageClassification)


# name: builder, input shape in PyTorch's order, whether parameters' gradients are written.
MODELS = {
    "vit_timm": (vit_timm, (2, 3, 32, 32), True),
    "vit_timm_average": (lambda: vit_timm(global_pool="avg", qkv_bias=False, init_values=0.1, in_chans=1), (2, 1, 32, 32), False),
    "vit_huggingface": (lambda: vit_hugging_face(hidden_act="gelu_pytorch_tanh"), (2, 3, 24, 32), False),
    "vit_torchvision": (vit_torchvision, (2, 3, 32, 32), False),
    "densenet_timm": (densenet_timm, (2, 3, 32, 32), False),
    "densenet_torchvision": (densenet_torchvision, (2, 3, 35, 32), False),
    "densenet_torchxrayvision": (densenet_torchxrayvision, (2, 1, 32, 32), False),
    "efficientnet_timm": (efficientnet_timm, (2, 3, 33, 32), False),
    "efficientnet_timm_tf": (lambda: efficientnet_timm(True), (2, 3, 33, 32), False),
    "efficientnet_torchvision": (efficientnet_torchvision, (2, 3, 33, 32), False),
    "convnext_timm": (convnext_timm, (2, 3, 32, 32), False),
    "convnext_torchvision": (convnext_torchvision, (2, 3, 40, 32), False),
    "convnext_huggingface": (convnext_hugging_face, (2, 3, 32, 32), False),
}


def scaling(about):
    """Mean and deviation that a configuration states for pixels from 0 to 1, or none."""
    if "preprocessor" in about:
        return about["preprocessor"]["image_mean"], about["preprocessor"]["image_std"]
    pretrained = about["config"].get("pretrained_cfg")
    return (pretrained["mean"], pretrained["std"]) if pretrained else None


def evaluated(model, about, x, wanted):
    """Logits, and gradients of their sum weighted by the formula."""
    x = x.clone().requires_grad_(True)
    standard = scaling(about)
    y = x
    if standard:
        mean, std = (torch.tensor(v, dtype=x.dtype).reshape(1, -1, 1, 1) for v in standard)
        y = (x / 255 - mean) / std
    logits = model(y)
    weights = torch.from_numpy(formula.signed("cotangent", tuple(logits.shape))).to(x.dtype)
    (logits * weights).sum().backward()
    out = {"logits": logits, "grad_input": x.grad.clone()}
    if wanted:
        out |= {f"grad.{name}": p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return {key: value.detach() for key, value in out.items()}


def filled(model, dtype):
    model = model.fill() if hasattr(model, "fill") else formula.fill(model)
    return model.to(dtype).eval()


def moved(model, about, x):
    """How far the gradient moves where the input does by a millionth: far, where a ReLU or a window is about to switch."""
    before = evaluated(model, about, x, False)["grad_input"]
    after = evaluated(model, about, x * (1 + 1e-6), False)["grad_input"]
    return float((after - before).abs().max() / before.abs().max())


def write_model(name):
    build, shape, wanted = MODELS[name]
    torch.manual_seed(0)
    model, about = build()
    pixels = scaling(about) is not None or about.pop("pixels", False)
    values = (lambda i: 255 * formula.unit(f"input.{i}", shape)) if pixels else (lambda i: formula.signed(f"input.{i}", shape, 2))
    model = filled(model, torch.float64)
    distances = [(moved(model, about, torch.from_numpy(values(i)).double()), i) for i in range(TRIES)]
    distance, index = min(distances)
    x = torch.from_numpy(values(index)).double()
    kind = {"formula": "pixel", "name": f"input.{index}"} if pixels else {"formula": "signed", "name": f"input.{index}", "scale": 2}
    exact = evaluated(model, about, x, wanted)
    single = evaluated(filled(model, torch.float32), about, x.float(), wanted)
    errors = {k: float(f"{(single[k].double() - v).abs().max() / v.abs().max():.2e}") for k, v in exact.items()}
    state = model.written if hasattr(model, "written") else model.state_dict()
    about["names_sha256"] = digest({key.removeprefix("model."): value for key, value in state.items()})[0]
    made_by = ", ".join(f"{tool} {module.__version__.split('+')[0]}" for tool, module in TOOLS.items())
    store.save(HERE / f"{name}.safetensors", exact, about | {
        "made_by": made_by, "input_shape": shape, "input": kind, "torch_f32_error": errors, "moved": float(f"{distance:.2e}")})
    print("   ", errors, "moved", distance)


def full_size():
    """Networks as published: the configuration that percuss reads, and the network that has the names."""
    torchvision_names = ["vit_b_16", "densenet121", "efficientnet_b0", "efficientnet_b5", "convnext_tiny", "resnet50"]
    for name in torchvision_names:
        config = {"architecture": name, "names": "torchvision"}
        yield f"torchvision {name}", config, torchvision.models.get_model(name).state_dict()
    timm_names = ["vit_base_patch16_224", "deit_small_patch16_224", "densenet121", "efficientnet_b0", "tf_efficientnet_b3",
                  "convnext_tiny", "resnet50"]
    for name in timm_names:
        model = timm.create_model(name)
        yield f"timm {name}", timm_config(model), model.state_dict()
    for name, config, build in [
        ("vit", transformers.ViTConfig(), transformers.ViTForImageClassification),
        ("convnext", transformers.ConvNextConfig(), transformers.ConvNextForImageClassification),
    ]:
        with tempfile.TemporaryDirectory() as folder:
            build(config).save_pretrained(folder)
            text = json.loads((Path(folder) / "config.json").read_text())
            state = load_file(Path(folder) / "model.safetensors")
        yield f"huggingface {name}", text, state
    config = {"architecture": "densenet121", "names": "torchxrayvision"}
    yield "torchxrayvision densenet121", config, torchxrayvision.models.DenseNet().state_dict()


def digest(state):
    """SHA-256 of the names and shapes, and how many tensors and values they are."""
    kept = {key: value for key, value in sorted(state.items()) if not key.endswith("num_batches_tracked")}
    lines = [f"{key} {list(value.shape)}" for key, value in kept.items()]
    sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return sha256, len(lines), sum(value.numel() for value in kept.values())


def write_names():
    rows = []
    for name, config, state in full_size():
        sha256, tensors, values = digest(state)
        rows.append({"name": name, "config": config, "tensors": tensors, "values": values, "sha256": sha256})
        print(name, tensors, values)
    (HERE / "names.json").write_text(json.dumps(rows, indent=1) + "\n")


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or [*MODELS, "names"]:
        write_names() if name == "names" else write_model(name)


if __name__ == "__main__":
    main()

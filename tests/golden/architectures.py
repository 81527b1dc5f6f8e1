"""percuss's architectures as PyTorch modules, built from the same config.json that percuss reads."""

import json
from pathlib import Path

import torch
from torch import nn


def mlp(config):
    widths = [config["inputs"], *config["hidden"], config["classes"]]
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers += ([nn.ReLU()] if i else []) + [nn.Linear(a, b)]
    return nn.Sequential(*layers)


class GlobalAveragePool(nn.Module):
    """AdaptiveAvgPool2d(1) together with the flatten that has no index in the list."""

    def forward(self, x):
        return x.mean(dim=(2, 3))


def cnn(config):
    height, width, channels = config["input"]
    features, layers = None, []
    for layer in config["layers"]:
        kind, kernel = layer["kind"], layer.get("kernel")
        if kind == "conv":
            stride, padding = layer.get("stride", 1), layer.get("padding", 0)
            layers.append(nn.Conv2d(channels, layer["out"], kernel, stride, padding, bias=layer.get("bias", True)))
            channels = layer["out"]
            height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        elif kind in ("max_pool", "avg_pool"):
            stride = layer.get("stride") or kernel
            layers.append((nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d)(kernel, stride))
            height, width = ((n - kernel) // stride + 1 for n in (height, width))
        elif kind == "batch_norm":
            layers.append(nn.BatchNorm2d(channels) if features is None else nn.BatchNorm1d(features))
        elif kind == "relu":
            layers.append(nn.ReLU())
        elif kind == "dropout":
            layers.append(nn.Dropout(layer.get("p", 0.5)))
        elif kind == "global_avg_pool":
            layers.append(GlobalAveragePool())
            features = channels
        elif kind == "flatten":
            layers.append(nn.Flatten())
            features = channels * height * width
        elif kind == "linear":
            layers.append(nn.Linear(features, layer["out"]))
            features = layer["out"]
        else:
            raise ValueError(f"unknown layer kind {kind}")
    return nn.Sequential(*layers)


def resnet(config):
    import torchvision

    model = getattr(torchvision.models, f"resnet{config['depth']}")(num_classes=config["classes"])
    channels = config["in_channels"] if "in_channels" in config else config["input"][2]
    if config["stem"] == "3x3":
        model.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return model


class BasicBlock1d(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv1d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm1d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet1d(nn.Module):
    def __init__(self, config):
        super().__init__()
        kernel, widths = config["stem_kernel"], config["widths"]
        inputs = widths[0]
        stride = config["stem_stride"]
        self.conv1 = nn.Conv1d(config["in_channels"], inputs, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(inputs)
        self.relu = nn.ReLU()
        self.stages = []
        for s, (width, blocks) in enumerate(zip(widths, config["blocks"])):
            stage = []
            for b in range(blocks):
                stage.append(BasicBlock1d(inputs, width, config["kernel"], 2 if s and not b else 1))
                inputs = width
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
            self.stages.append(f"layer{s + 1}")
        self.fc = nn.Linear(inputs, config["classes"])

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(x.mean(dim=2))


BUILDERS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "resnet1d": ResNet1d}


def build(config):
    return BUILDERS[config["architecture"]](config)


def load(folder):
    """A percuss model folder: config.json and model.safetensors."""
    from safetensors.torch import load_file

    config = json.loads((Path(folder) / "config.json").read_text())
    model = build(config)
    state = load_file(Path(folder) / "model.safetensors")
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"{folder}: missing {missing}, unexpected {unexpected}")
    return model.eval(), config

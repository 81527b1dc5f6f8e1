"""Small models of torchvision, timm, transformers and of our own that are exported to ONNX: no weights of anyone, random ones by seed."""

import timm
import torch
import torchvision
import transformers
from torch import nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.resnet import BasicBlock, Bottleneck

transformers.logging.set_verbosity_error()


class SmallResNet(nn.Module):
    """torchvision's blocks with its stem, narrow."""

    def __init__(self, block, widths, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        layers, width = [], widths[0]
        for stage, planes in enumerate(widths):
            stride, wide = (1 if stage == 0 else 2), planes * block.expansion
            down = None
            if stride > 1 or width != wide:
                down = nn.Sequential(nn.Conv2d(width, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
            layers.append(block(width, planes, stride, down))
            width = wide
        self.layers = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class SignalBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(channels, width, 5, stride, 2, bias=False), nn.BatchNorm1d(width)
        self.conv2, self.bn2 = nn.Conv1d(width, width, 5, 1, 2, bias=False), nn.BatchNorm1d(width)
        self.downsample = nn.Sequential(nn.Conv1d(channels, width, 1, stride, bias=False), nn.BatchNorm1d(width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class SignalNet(nn.Module):
    """A 1-d ResNet over an ECG [n, leads, samples]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(2, 8, 7, 2, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(3, 2, 1))
        self.blocks = nn.Sequential(SignalBlock(8, 8, 1), SignalBlock(8, 12, 2))
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean(-1))


class Recurrent(nn.Module):
    """A recurrent classifier over series [n, hours, variables]."""

    def __init__(self, kind, **options):
        super().__init__()
        self.cell = kind(6, 8, batch_first=True, **options)
        self.fc = nn.Linear(16 if options.get("bidirectional") else 8, 2)

    def forward(self, x):
        return self.fc(self.cell(x)[0][:, -1])


class Logits(nn.Module):
    """What a model of transformers says, as one tensor."""

    def __init__(self, model, keys, name="logits"):
        super().__init__()
        self.model, self.keys, self.name = model, keys, name

    def forward(self, *inputs):
        return getattr(self.model(**dict(zip(self.keys, inputs, strict=True))), self.name)


def vit_hf():
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        num_labels=3)
    return Logits(transformers.ViTForImageClassification(config), ["pixel_values"])


def bert(keys):
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=12, num_labels=3)
    return Logits(transformers.BertForSequenceClassification(config), keys)


def clip_tower():
    config = transformers.CLIPVisionConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        projection_dim=6)
    return Logits(transformers.CLIPVisionModelWithProjection(config), ["pixel_values"], "image_embeds")


def efficientnet():
    setting = [
        MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0),
        MBConvConfig(4, 5, 2, 8, 12, 2, 1.0, 1.0),
    ]
    return torchvision.models.EfficientNet(setting, dropout=0.2, num_classes=3, last_channel=24)


def convnext():
    setting = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]
    return torchvision.models.ConvNeXt(setting, num_classes=3, layer_scale=0.1)


def vit_torchvision():
    return torchvision.models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3)


def vit_timm():
    return timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, num_classes=3)


def densenet():
    return torchvision.models.DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2, num_classes=3)


class Decoder(nn.Module):
    """A transposed convolution, both interpolations, group and instance norm, Mish and PReLU, in one classifier."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)
        self.instance = nn.InstanceNorm2d(6, affine=True)
        self.prelu = nn.PReLU(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        y = nn.functional.mish(self.norm(self.down(x)))
        z = self.prelu(self.instance(self.up(y)))
        near = nn.functional.interpolate(y, scale_factor=2, mode="nearest")[:, :6]
        smooth = nn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)[:, 2:]
        return self.head((z + near * torch.sigmoid(smooth)).mean((2, 3)))


IMAGE, SMALL, SIGNAL, SERIES = (1, 3, 32, 32), (1, 3, 16, 16), (1, 2, 64), (1, 9, 6)

# Name: the model, the shape of its input.
MODELS = {
    "resnet18": (lambda: SmallResNet(BasicBlock, [8, 8, 12, 16], 3), IMAGE),
    "resnet50": (lambda: SmallResNet(Bottleneck, [4, 4, 6], 3), IMAGE),
    "densenet": (densenet, IMAGE),
    "efficientnet": (efficientnet, IMAGE),
    "convnext": (convnext, IMAGE),
    "vit_torchvision": (vit_torchvision, SMALL),
    "vit_timm": (vit_timm, SMALL),
    "vit_hf": (vit_hf, SMALL),
    "bert": (lambda: bert(["inputs_embeds", "attention_mask"]), (1, 7, 16)),
    "bert_ids": (lambda: bert(["input_ids", "attention_mask"]), (1, 7)),
    "clip_tower": (clip_tower, SMALL),
    "signal": (SignalNet, SIGNAL),
    "gru": (lambda: Recurrent(nn.GRU), SERIES),
    "gru_both": (lambda: Recurrent(nn.GRU, bidirectional=True, num_layers=2), SERIES),
    "lstm": (lambda: Recurrent(nn.LSTM), SERIES),
    "decoder": (Decoder, SMALL),
}

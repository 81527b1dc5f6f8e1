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

    def __init__(self, model, key, name="logits"):
        super().__init__()
        self.model, self.key, self.name = model, key, name

    def forward(self, x, mask=None):
        masked = {} if mask is None else {"attention_mask": mask}
        return getattr(self.model(**{self.key: x}, **masked), self.name)


def vit_hf():
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        num_labels=3)
    return Logits(transformers.ViTForImageClassification(config), "pixel_values")


def bert(key):
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=12, num_labels=3)
    return Logits(transformers.BertForSequenceClassification(config), key)


def clip_tower():
    config = transformers.CLIPVisionConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        projection_dim=6)
    return Logits(transformers.CLIPVisionModelWithProjection(config), "pixel_values", "image_embeds")


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
        image_size=16, patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3)


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


class Reshapes(nn.Module):
    """Sizes that are inferred, computed from the batch's, or taken over."""

    def forward(self, x):
        n = x.shape[0]
        y = x.reshape(n, -1, 4).transpose(1, 2).reshape(n * 2, -1)
        y = (y * y).view(n, 2, -1).flatten(1)
        shuffled = nn.functional.pixel_shuffle(x.reshape(n, 4, 2, 6), 2).reshape(n, 3, -1)
        back = nn.functional.pixel_unshuffle(x.reshape(n, 1, 4, 12), 2).amax((2, 3))[:, 1:]
        return y.unflatten(1, (3, -1)).sum(-1) + x.size(1) + (shuffled * shuffled).mean(2) * back


class Slices(nn.Module):
    """Steps of any size, backwards too; positions picked and repeated."""

    def forward(self, x):
        back = torch.flip(x, [2, 3])[:, :, 1::3, ::2]
        picked = x[:, [2, 0, 0], :6, :8] * back.mean((1, 2, 3), keepdim=True)
        far = x[:, :, [0, 5, 3, 9, 15, 7, 2, 11, 13, 1]].sum((2, 3))
        return torch.cat([back.sum((2, 3)), picked.amax((2, 3)), far, x[:, 1, -2:, 0]], 1)


class Choices(nn.Module):
    """Constants that are expanded, compared and chosen; tiles; a gather by known indices."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(3, 1, 1))
        self.register_buffer("index", torch.tensor([[1, 0, 2, 2], [3, 1, 0, 4]]))

    def forward(self, x):
        y = torch.where(x > 0.5, x * 2, -x) + self.bias.expand(3, 16, 16)
        triangle = torch.where(torch.tril(torch.ones(16, 16)) > 0, y, torch.zeros(()))
        tiled = x[:, :, :2, :3].repeat(1, 2, 3, 2)
        picked = torch.gather(x[:, 0, :2], 2, self.index.expand(x.shape[0], 2, 4))
        return torch.cat([triangle.mean((2, 3)), tiled.std((2, 3)), picked.flatten(1)], 1)


class Functions(nn.Module):
    """One number at a time, and over axes."""

    def forward(self, x):
        f = nn.functional
        y = f.elu(x - 0.5) + f.selu(x) * f.celu(x - 0.3, 0.7) + f.softplus(x) + f.softsign(x) + f.hardswish(4 * x - 2)
        y = y + f.hardsigmoid(x) + f.leaky_relu(x - 0.4, 0.2) + f.gelu(x) + f.gelu(x, approximate="tanh") + f.mish(x)
        y = y + x.exp().log1p() * (x + 1).rsqrt() + x.sin() * x.cos() + torch.erf(x) + x.pow(3) + (x + 1).pow(1.7)
        y = y + x.clamp(0.2, 0.8) + torch.maximum(x, 1 - x) + torch.minimum(x, x * x) + x.abs() + torch.tanh(x) + 1 / (x + 2)
        rows = [y.amax(3).mean(2), y.amin((2, 3)), y.norm(dim=(2, 3)), y.logsumexp((2, 3)), y.log_softmax(1).mean((2, 3))]
        return torch.cat([*rows, y.softmax(2).pow(2).sum((2, 3)), y.cumsum(3)[:, :, 3].mean(2), f.normalize(y.mean(3), dim=2)[:, :, 1]], 1)


class Windows(nn.Module):
    """Pooling and padding of every kind, dilated and grouped convolutions."""

    def __init__(self):
        super().__init__()
        self.dilated = nn.Conv2d(3, 6, 3, 1, 2, dilation=2, groups=3)
        self.norm = nn.BatchNorm2d(6)
        self.line = nn.Conv1d(6, 4, 3, 2, 1)

    def forward(self, x):
        f = nn.functional
        y = f.max_pool2d(x, 3, 2, ceil_mode=True) + f.avg_pool2d(x[:, :, :15, :15], 3, 2, 1, count_include_pad=False)
        y = torch.cat([y, f.avg_pool2d(f.pad(x, (1, 2, 2, 1), mode="reflect"), 4, 2, 1)[:, :, :8, :8]], 1)
        y = y + self.norm(self.dilated(f.pad(x[:, :, ::2, ::2], (1, 0, 0, 1), mode="replicate")))[:, :, :8, :8]
        y = f.pad(y, (0, 1, 2, 0), value=0.3)
        return self.line(y.flatten(2)).mean(2) + f.adaptive_max_pool2d(y, 1).flatten(1)[:, :4]


class Shared(nn.Module):
    """One weight in two places, turned around in one of them; matrices on either side; products in pairs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 6) * 0.4)
        self.left = nn.Parameter(torch.randn(5, 9) * 0.4)

    def forward(self, x):
        y = torch.tanh(x @ self.weight.t()) @ self.weight
        z = self.left @ y
        pairs = torch.matmul(y.unsqueeze(1), z.transpose(1, 2).unsqueeze(1)).squeeze(1)
        named = torch.einsum("btf,cf->bct", x, self.weight).amax(2)[:, :5]
        return pairs.sum(1) + z @ self.weight[0] + named * torch.einsum("bhtd,bhsd->hbts", y.unsqueeze(1), z.unsqueeze(1)).mean((0, 2))


class Two(nn.Module):
    """An image and a table."""

    def __init__(self):
        super().__init__()
        self.conv, self.table, self.head = nn.Conv2d(3, 4, 3, 2), nn.Linear(5, 4), nn.Linear(8, 3)

    def forward(self, x, table):
        image = torch.relu(self.conv(x)).mean((2, 3))
        return torch.softmax(self.head(torch.cat([image, torch.relu(self.table(table))], 1)), 1)


class Binary(nn.Module):
    """One probability."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1), nn.Sigmoid())

    def forward(self, x):
        return self.layers(x)


IMAGE, SMALL, SIGNAL, SERIES = (3, 32, 32), (3, 16, 16), (2, 64), (9, 6)

# Name: the model and the shapes of its inputs, without the batch axis.
MODELS = {
    "resnet18": (lambda: SmallResNet(BasicBlock, [8, 8, 12, 16], 3), IMAGE),
    "resnet50": (lambda: SmallResNet(Bottleneck, [4, 4, 6], 3), IMAGE),
    "densenet": (densenet, IMAGE),
    "efficientnet": (efficientnet, IMAGE),
    "convnext": (convnext, IMAGE),
    "vit_torchvision": (vit_torchvision, SMALL),
    "vit_timm": (vit_timm, SMALL),
    "vit_hf": (vit_hf, SMALL),
    "bert": (lambda: bert("inputs_embeds"), (7, 16), (7,)),
    "bert_ids": (lambda: bert("input_ids"), (7,), (7,)),
    "clip_tower": (clip_tower, SMALL),
    "signal": (SignalNet, SIGNAL),
    "gru": (lambda: Recurrent(nn.GRU), SERIES),
    "gru_both": (lambda: Recurrent(nn.GRU, bidirectional=True, num_layers=2), SERIES),
    "lstm": (lambda: Recurrent(nn.LSTM), SERIES),
    "lstm_both": (lambda: Recurrent(nn.LSTM, bidirectional=True), SERIES),
    "decoder": (Decoder, SMALL),
    "reshapes": (Reshapes, (6, 8)),
    "slices": (Slices, SMALL),
    "choices": (Choices, SMALL),
    "functions": (Functions, (2, 5, 6)),
    "windows": (Windows, SMALL),
    "shared": (Shared, SERIES),
    "two": (Two, SMALL, (5,)),
    "binary": (Binary, (6,)),
}

"""Small ONNX files, from both exporters of PyTorch, skl2onnx and onnx.helper, and what onnxruntime and PyTorch say of them.

Writes `onnx/*.onnx` and `onnx.safetensors`; with names of models as arguments those alone are made anew. What only people read (documentation, stack traces, names of intermediate shapes) is taken out of
the files, so that they stay small; nothing else is changed.
"""

import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

from onnx_corners import CORNERS
from onnx_models import MODELS
from onnx_others import OTHERS
from store import save

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
HERE = Path(__file__).parent
FOLDER = HERE / "onnx"

# Model: opsets of the exporter by tracing, and of the one by torch.export.
OPSETS = {
    "resnet18": ([13], [18]), "resnet50": ([14], []), "densenet": ([15], [19]), "efficientnet": ([16], [20]), "convnext": ([17], [21]),
    "vit_torchvision": ([18], [18]), "vit_timm": ([14], [20]), "vit_hf": ([19], [18]), "bert": ([20], [18]), "bert_ids": ([17], []),
    "clip_tower": ([17], [21]), "signal": ([13], [18]), "gru": ([15], [18]), "gru_both": ([17], []), "lstm": ([14], [19]),
    "lstm_both": ([17], []), "decoder": ([16], [18]), "reshapes": ([13], [18]), "slices": ([17], [18]), "choices": ([18], []),
    "functions": ([20], [20]), "windows": ([19], [18]), "shared": ([13], []), "two": ([17], [18]), "binary": ([17], [21]),
}


def inputs_of(name, shapes, n):
    rng = torch.Generator().manual_seed(sum(name.encode()))
    inputs = [torch.rand((n, *shape), generator=rng) for shape in shapes]
    if name.startswith("bert"):
        inputs[1] = torch.ones(n, *shapes[1], dtype=torch.int64)
        inputs[1][1:, -2:] = 0
    if name == "bert_ids":
        inputs[0] = torch.randint(0, 50, (n, *shapes[0]), generator=rng)
    return inputs


def alive(model):
    """Statistics and biases that are not what they are made with, so that each of them counts."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and parameter.std() == 0:
            torch.nn.init.normal_(parameter, std=0.2)
        if name.endswith("bias") or "norm" in name.lower() or "bn" in name:
            parameter.data.add_(torch.empty_like(parameter).uniform_(-0.1, 0.1))
    return model.eval()


def export(model, inputs, path, opset, dynamo):
    names = [f"input{i}" for i in range(len(inputs))]
    if dynamo:
        shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
        torch.onnx.export(
            model, tuple(inputs), path, dynamo=True, opset_version=opset, external_data=False, verbose=False, dynamic_shapes=shapes)
    else:
        torch.onnx.export(
            model, tuple(inputs), path, dynamo=False, opset_version=opset, input_names=names,
            dynamic_axes={name: {0: "batch"} for name in names})


def bare(path):
    """Without what only people read."""
    model = onnx.load(path)
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for thing in [model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        for field in ("metadata_props", "doc_string"):
            if field in thing.DESCRIPTOR.fields_by_name:
                thing.ClearField(field)
    model.graph.ClearField("value_info")
    onnx.save(model, path)
    assert path.stat().st_size < 100_000, f"{path.name}: {path.stat().st_size} bytes"


def answers(path, inputs):
    """What onnxruntime says, the probabilities where a classifier has labels, too."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = {slot.name: value for slot, value in zip(session.get_inputs(), inputs, strict=True)}
    found = session.run(None, fed)
    names = [slot.name for slot in session.get_outputs()]
    at = next((i for i, name in enumerate(names) if "prob" in name), 0)
    said = found[at]
    if isinstance(said, list):
        said = [[row[key] for key in row] for row in said]
    return np.asarray(said, dtype=np.float32).reshape(len(inputs[0]), -1)


def gradients(function, inputs):
    """Of the outputs' sum, the k-th counting k times, to every input of reals, in f64."""
    inputs = [value.double().requires_grad_() if value.is_floating_point() else value for value in inputs]
    said = function(*inputs).flatten(1)
    (said * torch.arange(1, said.shape[1] + 1)).sum().backward()
    return said, [value.grad for value in inputs]


def record(tensors, name, path, inputs, function):
    said, slopes = gradients(function, inputs)
    runtime = answers(path, [value.numpy() for value in inputs])
    worst = np.abs(runtime - said.detach().numpy()).max() / np.abs(runtime).max()
    assert worst < 1e-4, f"{name}: onnxruntime and PyTorch differ by {worst}"
    for i, (value, slope) in enumerate(zip(inputs, slopes, strict=True)):
        tensors[f"{name}.input{i}"] = value
        if slope is not None:
            tensors[f"{name}.gradient{i}"] = slope
    tensors[f"{name}.output"] = runtime
    print(f"{name}: {path.stat().st_size} bytes, PyTorch within {worst:.1e}", flush=True)


def main(wanted):
    FOLDER.mkdir(exist_ok=True)
    kept = load_file(HERE / "onnx.safetensors") if wanted else {}
    tensors = {key: value for key, value in kept.items() if key.split(".")[0] not in wanted}
    for name, (make, *shapes) in MODELS.items():
        if wanted and name not in wanted:
            continue
        for dynamo, opsets in enumerate(OPSETS[name]):
            for opset in opsets:
                torch.manual_seed(1)
                model = alive(make())
                inputs = inputs_of(name, shapes, 2)
                key = f"{name}.{'export' if dynamo else 'trace'}{opset}"
                path = FOLDER / f"{key}.onnx"
                export(model, inputs, path, opset, bool(dynamo))
                bare(path)
                record(tensors, key, path, inputs, model.double())
    for name, make in (OTHERS | CORNERS).items():
        if wanted and name not in wanted:
            continue
        torch.manual_seed(1)
        proto, inputs, function = make()
        path = FOLDER / f"{name}.onnx"
        onnx.save(proto, path)
        record(tensors, name, path, inputs, function)
    if not wanted:
        beside()
        patients()
    made_by = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    save(HERE / "onnx.safetensors", tensors, {"made_by": made_by})


def beside():
    """The signal net with its weights in a file of raw data, and in a safetensors file under their names."""
    model = onnx.load(FOLDER / "signal.trace13.onnx")
    external = FOLDER / "external"
    external.mkdir(exist_ok=True)
    (external / "weights.bin").unlink(missing_ok=True)
    onnx.save(model, external / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(FOLDER / "signal.trace13.onnx")
    named = FOLDER / "named"
    named.mkdir(exist_ok=True)
    tensors = {one.name: numpy_helper.to_array(one).copy() for one in model.graph.initializer}
    for one in model.graph.initializer:
        for field in ("raw_data", "float_data", "int64_data"):
            one.ClearField(field)
    onnx.save(model, named / "model.onnx")
    save(named / "model.safetensors", tensors, {})


def patients():
    """The committed model of SUPPORT2's patients as a user would export it from PyTorch, with a softmax at its end."""
    weights = load_file(HERE / "../../experiments/models/support2-mlp/model.safetensors")
    layers = []
    for at in (0, 2, 4):
        weight = weights[f"{at}.weight"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": weights[f"{at}.bias"]})
        layers += [layer, torch.nn.ReLU()]
    layers[-1] = torch.nn.Softmax(1)
    path = FOLDER / "patients" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    export(torch.nn.Sequential(*layers).eval(), [torch.rand(1, 49)], path, 17, False)
    bare(path)


if __name__ == "__main__":
    main(sys.argv[1:])

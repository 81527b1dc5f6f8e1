"""Forms in which other people's files come, a few nodes each, and what onnxruntime makes of them: `onnx/forms/*.onnx` and `onnx_forms.safetensors`.

onnxruntime's own ops (`com.microsoft`), batch norm of weights, an open batch of -1, inputs that are the same for all samples, branches that such
an input chooses, pixels of 8 bits that the file makes reals of, a softmax that is written out.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = Path(__file__).parent
FOLDER = HERE / "onnx" / "forms"
FLOAT, INT, BYTE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
RNG = np.random.default_rng(14)
GOLDENS = {}


def node(op, inputs, outputs, domain="", **attributes):
    return helper.make_node(op, inputs, outputs, domain=domain, **attributes)


def fused(op, inputs, outputs, **attributes):
    return node(op, inputs, outputs, domain="com.microsoft", **attributes)


def real(name, *dims, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, list(dims))


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def normal(name, *dims, scale=0.5):
    return constant(name, RNG.normal(size=dims) * scale)


def form(name, nodes, inputs, outputs, constants, feeds, beside=None, opset=17):
    """Writes the file, and what onnxruntime says of one sample after the other (a lane is a batch of one)."""
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=9)
    FOLDER.mkdir(exist_ok=True)
    onnx.save(proto, FOLDER / f"{name}.onnx")
    if beside:
        (FOLDER / f"{name}.json").write_text(json.dumps(beside) + "\n")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    fixed = {one.name: feeds[one.name] for one in inputs if one.name in (beside or {}).get("inputs", {})}
    moving = [one.name for one in inputs if one.name not in fixed]
    count = 3
    rows = [session.run(None, {**fixed, **{one: feeds[one][i] for one in moving}})[0].reshape(1, -1) for i in range(count)]
    for i, one in enumerate(moving):
        GOLDENS[f"{name}.input{i}"] = np.ascontiguousarray(np.stack([feeds[one][k] for k in range(count)]).astype(np.float32))
    GOLDENS[f"{name}.output"] = np.ascontiguousarray(np.concatenate(rows).astype(np.float32))


def samples(*dims):
    return [RNG.normal(size=(1, *dims)).astype(np.float32) for _ in range(3)]


def head(name, width, classes=3):
    """A linear layer on the flattened value."""
    weight = normal("head", width, classes)
    return [node("Flatten", [name], ["flat"]), node("MatMul", ["flat", "head"], ["y"])], [weight]


def of_weights():
    """Weights that are made by batch norm (with statistics of their own), instance norm, layer norm and a norm's length."""
    nodes = [
        node("BatchNormalization", ["w0", "gain", "zero", "mean", "one"], ["w1", "m1", "v1"], training_mode=1),
        node("Reshape", ["w1", "kernel"], ["w2"]),
        node("Conv", ["x", "w2"], ["c1"], pads=[1, 1, 1, 1]),
        node("InstanceNormalization", ["v0", "gain", "zero"], ["v2"]),
        node("Reshape", ["v2", "square"], ["v3"]),
        node("Conv", ["c1", "v3"], ["c2"], pads=[1, 1, 1, 1]),
        node("LayerNormalization", ["u0", "along"], ["u1"], axis=1),
        node("LpNormalization", ["u1"], ["u2"], axis=0, p=2),
        node("Reshape", ["c2", "rows"], ["r"]),
        node("MatMul", ["r", "u2"], ["y"]),
    ]
    constants = [
        normal("w0", 1, 4, 18), constant("gain", [1, 0.5, 2, 1.5]), constant("zero", np.zeros(4)), constant("mean", np.zeros(4)),
        constant("one", np.ones(4)), constant("kernel", [4, 2, 3, 3], np.int64), normal("v0", 1, 4, 36), constant("square", [4, 4, 3, 3], np.int64),
        normal("u0", 64, 3), constant("along", [1, 2, 3]), constant("rows", [-1, 64], np.int64),
    ]
    form("of_weights", nodes, [real("x", "n", 2, 4, 4)], [real("y", "n", 3)], constants, {"x": samples(2, 4, 4)})


def paddle():
    tail, weights = head("p", 3)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), *tail, node("Softmax", ["y"], ["z"])]
    beside = {"dimensions": {"x.2": 6, "x.3": 5}}
    form("paddle", nodes, [real("x", -1, 2, None, None)], [real("z", -1, 3)], [normal("w", 3, 2, 3, 3), *weights], {"x": samples(2, 6, 5)}, beside)


def rates():
    """As a voice detector has it: the rate chooses a branch, a branch chooses by the length; a state has its batch in the middle."""
    short = helper.make_graph(
        [node("Slice", ["x", "none", "four", "second"], ["cut"]), node("MatMul", ["cut", "w"], ["inner"])], "short", [],
        [real("inner", "n", 5)], [normal("w", 4, 5)])
    long = helper.make_graph([node("MatMul", ["x", "long_w"], ["inner"])], "long", [], [real("inner", "n", 5)], [normal("long_w", 8, 5)])
    fast = helper.make_graph(
        [node("Shape", ["x"], ["size"]), node("Gather", ["size", "last"], ["length"]), node("Equal", ["length", "eight"], ["is"]),
         node("If", ["is"], ["inner"], then_branch=short, else_branch=long)], "fast", [], [real("inner", "n", 5)], [])
    slow = helper.make_graph([node("MatMul", ["x", "slow_w"], ["other"])], "slow", [], [real("other", "n", 5)], [normal("slow_w", 8, 5)])
    nodes = [
        node("Equal", ["sr", "rate"], ["is_fast"]),
        node("If", ["is_fast"], ["h"], then_branch=fast, else_branch=slow),
        node("ReduceSum", ["state", "first"], ["s"], keepdims=0),
        node("Add", ["h", "s"], ["y"]),
    ]
    constants = [
        constant("rate", 16000, np.int64), constant("none", [0], np.int64), constant("four", [4], np.int64), constant("second", [1], np.int64),
        constant("last", 1, np.int64), constant("eight", 8, np.int64), constant("first", [0], np.int64),
    ]
    inputs = [real("x", "n", 8), real("state", 2, "n", 5), real("sr", dtype=INT)]
    states = [RNG.normal(size=(2, 1, 5)).astype(np.float32) for _ in range(3)]
    feeds = {"x": samples(8), "state": states}
    form("rate_fast", nodes, inputs, [real("y", "n", 5)], constants, {**feeds, "sr": np.array(16000)}, {"inputs": {"sr": 16000}})
    same = np.full((2, 1, 5), 0.25, np.float32)
    feeds = {"x": feeds["x"], "state": same, "sr": np.array(8000)}
    form("rate_slow", nodes, inputs, [real("y", "n", 5)], constants, feeds, {"inputs": {"sr": 8000, "state": 0.25}})


def pixels():
    """Channels last, eight bits, made reals and scaled in the file."""
    tail, weights = head("c", 2 * 2 * 3)
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Cast", ["t"], ["f"], to=FLOAT), node("Div", ["f", "most"], ["d"]),
        node("Conv", ["d", "w"], ["c"]), *tail,
    ]
    bytes_ = [RNG.integers(0, 256, (1, 4, 4, 3)).astype(np.uint8) for _ in range(3)]
    inputs = [real("x", "n", 4, 4, 3, dtype=BYTE)]
    form("pixels", nodes, inputs, [real("y", "n", 3)], [constant("most", 255.0), normal("w", 3, 3, 3, 3), *weights], {"x": bytes_})


def written_out():
    nodes = [
        node("MatMul", ["x", "w"], ["z"]), node("ReduceMax", ["z"], ["m"], axes=[1]), node("Sub", ["z", "m"], ["d"]), node("Exp", ["d"], ["e"]),
        node("ReduceSum", ["e", "axis"], ["s"]), node("Div", ["e", "s"], ["y"]),
    ]
    form("written_out", nodes, [real("x", "n", 4)], [real("y", "n", 3)], [normal("w", 4, 3), constant("axis", [1], np.int64)], {"x": samples(4)})


def fused_convolutions():
    ways = [("Relu", None), ("LeakyRelu", [0.2]), ("HardSigmoid", [0.3, 0.4]), ("Clip", [-0.2, 0.6]), ("Tanh", None), ("Sigmoid", None)]
    nodes, constants = [], [normal("b", 2)]
    before = "x"
    for i, (activation, parameters) in enumerate(ways):
        more = {"activation_params": parameters} if parameters else {}
        # The last one has a summand, too.
        inputs = [before, f"w{i}", "b"] + (["x"] if i == len(ways) - 1 else [])
        nodes.append(fused("FusedConv", inputs, [f"c{i}"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], activation=activation, **more))
        constants.append(normal(f"w{i}", 2, 2, 3, 3))
        before = f"c{i}"
    tail, weights = head(before, 2 * 4 * 4)
    form("fused_conv", nodes + tail, [real("x", "n", 2, 4, 4)], [real("y", "n", 3)], constants + weights, {"x": samples(2, 4, 4)})


def fused_products():
    nodes = [
        fused("FusedGemm", ["x", "w0", "b0"], ["g0"], activation="Relu", transB=1, alpha=0.7),
        fused("FusedGemm", ["g0", "w1", "b1"], ["g1"], activation="LeakyRelu", activation_alpha=0.3),
        node("Reshape", ["g1", "square"], ["m"]),
        fused("FusedMatMul", ["m", "m"], ["p"], alpha=0.5, transB=1),
        fused("FusedMatMul", ["p", "m"], ["q"], transA=1),
        node("Flatten", ["q"], ["f"]),
        fused("BiasGelu", ["f", "b2"], ["h0"]),
        fused("FastGelu", ["h0", "b2"], ["h1"]),
        fused("QuickGelu", ["h1"], ["h2"], alpha=1.3),
        fused("Gelu", ["h2"], ["h3"]),
        node("MatMul", ["h3", "w2"], ["y"]),
    ]
    constants = [
        normal("w0", 6, 5), normal("b0", 6), normal("w1", 6, 6), normal("b1", 6), constant("square", [-1, 2, 3], np.int64), normal("b2", 6),
        normal("w2", 6, 3),
    ]
    form("fused_products", nodes, [real("x", "n", 5)], [real("y", "n", 3)], constants, {"x": samples(5)})


def fused_transformer():
    """A sum of words and places that is normalised, attention in both of its forms, causal and masked, residual connections."""
    w, heads, t = 8, 2, 4
    nodes = [
        fused("SkipLayerNormalization", ["x", "places", "g", "s", "bias"], ["n0", "", "", "sum"], epsilon=1e-5),
        fused("Attention", ["n0", "qkv", "qkv_bias"], ["a0"], num_heads=heads),
        fused("SkipLayerNormalization", ["a0", "sum", "g", "s"], ["n1"], epsilon=1e-5),
        fused("Attention", ["n1", "qkv", "qkv_bias"], ["a1"], num_heads=heads, unidirectional=1),
        node("MatMul", ["a1", "k"], ["keys"]),
        fused("MultiHeadAttention", ["a1", "keys", "n1", "qkv_bias", "", "pairs"], ["a2"], num_heads=heads, scale=0.4),
        fused("SkipLayerNormalization", ["a2", "n1", "g", "s"], ["n2"], epsilon=1e-5),
        node("SimplifiedLayerNormalization", ["n2", "g"], ["n3"], epsilon=1e-5, axis=-1, stash_type=1),
    ]
    tail, weights = head("n3", t * w)
    constants = [
        normal("places", 1, t, w), constant("g", RNG.uniform(0.5, 1.5, w)), normal("s", w), normal("bias", w), normal("qkv", w, 3 * w),
        normal("qkv_bias", 3 * w), normal("k", w, w), normal("pairs", 1, 1, t, t),
    ]
    form("fused_transformer", nodes + tail, [real("x", "n", t, w)], [real("y", "n", 3)], constants + weights, {"x": samples(t, w)})


def fused_words():
    w, t = 8, 5
    nodes = [
        node("Cast", ["ids"], ["i"], to=TensorProto.INT32), node("Cast", ["mask"], ["m"], to=TensorProto.INT32),
        fused("EmbedLayerNormalization", ["i", "", "words", "places", "", "g", "s"], ["e", ""], epsilon=1e-5),
        fused("Attention", ["e", "qkv", "qkv_bias", "m"], ["a"], num_heads=2),
    ]
    tail, weights = head("a", t * w)
    constants = [
        normal("words", 20, w), normal("places", 9, w), constant("g", RNG.uniform(0.5, 1.5, w)), normal("s", w), normal("qkv", w, 3 * w),
        normal("qkv_bias", 3 * w),
    ]
    ids = [RNG.integers(0, 20, (1, t)) for _ in range(3)]
    masks = [np.array([[1, 1, 1, 1, 1]]), np.array([[1, 1, 1, 0, 0]]), np.array([[1, 1, 1, 1, 0]])]
    inputs = [real("ids", "n", t, dtype=INT), real("mask", "n", t, dtype=INT)]
    form("fused_words", nodes + tail, inputs, [real("y", "n", 3)], constants + weights, {"ids": ids, "mask": masks})


def main():
    of_weights()
    paddle()
    rates()
    pixels()
    written_out()
    fused_convolutions()
    fused_products()
    fused_transformer()
    fused_words()
    save_file(GOLDENS, HERE / "onnx_forms.safetensors")


if __name__ == "__main__":
    main()

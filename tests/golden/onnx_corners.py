"""Files of few nodes each, put together by hand, where readings of ONNX part: what counts is what onnxruntime makes of them."""

import numpy as np
import torch
from onnx import TensorProto, helper

from onnx_others import constant, model, tensor

node = helper.make_node
F = torch.nn.functional


def real(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])


def whole(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["n", *shape])


def beside(nodes, names):
    """The values under these names, all axes but the first as one, beside each other as y."""
    nodes += [node("Flatten", [name], [f"{name}_flat"]) for name in names]
    return [*nodes, node("Concat", [f"{name}_flat" for name in names], ["y"], axis=1)]


def joined(values):
    return torch.cat([value.flatten(1) for value in values], 1)


def resizing():
    """Factors that are not whole or do not give whole sizes: positions follow from the factor, not from the sizes."""
    ways = {
        "bilinear": ("wide", {"mode": "linear"}),
        "nearest": ("wide", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        "floor": ("twice", {"mode": "nearest", "nearest_mode": "floor"}),
        "exact": ("twice", {"mode": "nearest", "nearest_mode": "round_prefer_floor"}),
        "corners": ("thirds", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    }
    nodes = [node("Resize", ["x", "", factors], [name], **how) for name, (factors, how) in ways.items()]
    constants = [constant("wide", [1, 1, 2.2, 2.2]), constant("twice", [1, 1, 2, 2]), constant("thirds", [1, 1, 5 / 3, 1])]
    proto = model(beside(nodes, ways), [real("x", 2, 3, 4)], [real("y", 424)], constants, 17)

    def function(x):
        bilinear = F.interpolate(x, scale_factor=2.2, mode="bilinear", recompute_scale_factor=False)
        # Both for factor 2.2 and, half a pixel apart, for 2.
        floor = x[:, :, [0, 0, 0, 1, 1, 2]][..., [0, 0, 0, 1, 1, 2, 2, 3]]
        exact = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return joined([bilinear, floor, floor, exact, F.interpolate(x, (5, 4), mode="bilinear", align_corners=True)])

    return proto, [torch.rand(2, 2, 3, 4)], function


def transposed():
    """Transposed convolutions to a given size: of an odd padding the larger part lies in front, but for SAME_UPPER."""
    ways = ["NOTSET", "SAME_UPPER", "SAME_LOWER"]
    nodes = [
        node("ConvTranspose", ["x", "w"], [way], output_shape=[7, 7], strides=[2, 2], kernel_shape=[2, 2], auto_pad=way) for way in ways
    ]
    w = np.random.default_rng(8).normal(size=(3, 2, 2, 2))
    proto = model(beside(nodes, ways), [real("x", 3, 4, 4)], [real("y", 294)], [constant("w", w)], 17)

    def function(x):
        y = F.conv_transpose2d(x, tensor(w.astype(np.float32)), stride=2)
        return joined([y[:, :, 1:, 1:], y[:, :, :7, :7], y[:, :, 1:, 1:]])

    return proto, [torch.rand(2, 3, 4, 4)], function


def norms():
    """Rows divided by a norm: the largest value as it is, and 1 where the norm is 0."""
    nodes = [node("Normalizer", ["x"], [norm], domain="ai.onnx.ml", norm=norm) for norm in ("MAX", "L1", "L2")]
    nodes += [node("LpNormalization", ["x"], [f"p{p}"], p=p) for p in (1, 2)]
    proto = model(beside(nodes, ["MAX", "L1", "L2", "p1", "p2"]), [real("x", 4)], [real("y", 20)], [], 17, classical=3)

    def function(x):
        by = [x.amax(1, True), x.abs().sum(1, True), x.square().sum(1, True)]
        by = [torch.where(size == 0, 1, size) for size in by]
        by[2] = by[2].sqrt()
        return joined([x / by[i] for i in (0, 1, 2, 1, 2)])

    return proto, [torch.tensor([[-4, 1, 2, 0.5], [0, 0, 0, 0], [-3, -1, -2, -0.5], [-1, 0, -2, 0]])], function


def powers():
    """Whole powers of negative numbers, low and high, and a unit matrix of the type of what it is like."""
    exponents = [18.0, 17.0, 5.0, 1.0, -3.0]
    nodes = [node("Pow", ["x", f"e{i}"], [f"x{i}"]) for i in range(5)]
    nodes += [
        node("ConstantOfShape", ["sizes"], ["ones"], value=helper.make_tensor("value", TensorProto.INT64, [1], [1])),
        node("EyeLike", ["ones"], ["unit"], k=1),
        node("Add", ["unit", "ones"], ["sum"]),
        node("Cast", ["sum"], ["matrix"], to=TensorProto.FLOAT),
        node("MatMul", ["x", "matrix"], ["moved"]),
    ]
    constants = [constant(f"e{i}", exponent) for i, exponent in enumerate(exponents)] + [constant("sizes", [4, 4], np.int64)]
    names = [*(f"x{i}" for i in range(5)), "moved"]
    proto = model(beside(nodes, names), [real("x", 4)], [real("y", 24)], constants, 17)

    def function(x):
        matrix = torch.ones(4, 4).double() + torch.diag(torch.ones(3), 1)
        return joined([*(x**exponent for exponent in exponents), x @ matrix])

    return proto, [torch.tensor([[-1.1, 1.05, -0.9, 0.8], [1.2, -0.7, 1.0, -1.0]])], function


def scores(names, mask, query="x", guarded=False):
    """An attention over x [n, heads, tokens, d] as exporters write it; `guarded` as PyTorch does it for masks of minus infinity."""
    product, masked, weights, said = names
    nodes = [
        node("MatMul", [query, "turned"], [product]), node("Add", [product, mask], [masked]), node("Softmax", [masked], [weights], axis=-1),
    ]
    if guarded:
        nodes += [node("IsNaN", [weights], [f"{weights}_nan"]), node("Where", [f"{weights}_nan", "zero", weights], [f"{weights}_kept"])]
        weights = f"{weights}_kept"
    return [*nodes, node("MatMul", [weights, "x"], [said])]


def weighted(x, mask, query=None):
    masked = (x if query is None else query) @ x.transpose(-1, -2) + mask
    # Of a row without a finite score neither value nor gradient is asked.
    dead = (masked == -torch.inf).all(-1, keepdim=True)
    return torch.where(dead, 0, torch.softmax(torch.where(dead, 0, masked), -1)) @ x


START = [node("Transpose", ["x"], ["turned"], perm=[0, 1, 3, 2]), node("ReduceMean", ["x"], ["mean"], axes=[2], keepdims=1)]


def forbidding(*shape):
    """0 or minus infinity; the first row and the last of the last matrix forbid all."""
    allowed = np.random.default_rng(9).random(shape) < 0.6
    allowed[..., 0, :] = False
    allowed[..., 1:, 0] = True
    allowed[(*(size - 1 for size in shape[:-2]), shape[-2] - 1)] = False
    return np.where(allowed, 0, -np.inf)


def attentions():
    """One query under a mask of five rows, which makes five of it; rows that a known mask forbids as a whole, for all heads and for one."""
    nodes = START + scores(["s0", "m0", "w0", "y0"], "rows", "mean")
    nodes += scores(["s1", "m1", "w1", "y1"], "shared", guarded=True) + scores(["s2", "m2", "w2", "y2"], "own", guarded=True)
    rows, shared, own = np.random.default_rng(10).normal(size=(1, 1, 5, 6)), forbidding(1, 1, 6, 6), forbidding(1, 2, 6, 6)
    constants = [constant("rows", rows), constant("shared", shared), constant("own", own), constant("zero", 0.0)]
    proto = model(beside(nodes, ["y0", "y1", "y2"]), [real("x", 2, 6, 4)], [real("y", 136)], constants, 17)

    def function(x):
        mean = weighted(x, tensor(rows.astype(np.float32)), x.mean(2, True))
        return joined([mean, weighted(x, tensor(shared)), weighted(x, tensor(own))])

    return proto, [torch.rand(2, 2, 6, 4)], function


def attention_masks():
    """The same under masks that are inputs."""
    nodes = START + [
        node("Cast", ["rows"], ["rows_real"], to=TensorProto.FLOAT),
        node("Cast", ["allowed"], ["truth"], to=TensorProto.BOOL),
        node("Where", ["truth", "zero", "low"], ["shared"]),
    ]
    nodes += scores(["s0", "m0", "w0", "y0"], "rows_real", "mean") + scores(["s1", "m1", "w1", "y1"], "shared", guarded=True)
    constants = [constant("zero", 0.0), constant("low", -np.inf)]
    inputs = [real("x", 2, 6, 4), whole("rows", 1, 5, 6), whole("allowed", 1, 6, 6)]
    proto = model(beside(nodes, ["y0", "y1"]), inputs, [real("y", 88)], constants, 17)

    def function(x, rows, allowed):
        low = torch.where(allowed != 0, 0.0, -torch.inf).double()
        return joined([weighted(x, rows.double(), x.mean(2, True)), weighted(x, low)])

    rows = torch.randint(0, 3, (2, 1, 5, 6))
    return proto, [torch.rand(2, 2, 6, 4), rows, torch.tensor(forbidding(2, 1, 6, 6) == 0).long()], function


def wide_heads():
    """Heads of more features than the kernel for attention has."""
    nodes = START + [
        node("MatMul", ["x", "turned"], ["s"]), node("Mul", ["s", "scale"], ["m"]), node("Softmax", ["m"], ["w"], axis=-1),
        node("MatMul", ["w", "x"], ["said"]), node("ReduceSum", ["said", "axis"], ["y0"], keepdims=0),
    ]
    constants = [constant("scale", 0.05), constant("axis", [3], np.int64)]
    proto = model(beside(nodes, ["y0"]), [real("x", 1, 3, 300)], [real("y", 3)], constants, 17)

    def function(x):
        return (torch.softmax(0.05 * x @ x.transpose(2, 3), -1) @ x).sum(3).flatten(1)

    return proto, [torch.rand(2, 1, 3, 300)], function


def alias():
    """ONNX's own domain by its other name: a batch norm that becomes part of its convolution, a softmax at the end."""
    nodes = [
        node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["b"]),
        node("GlobalAveragePool", ["b"], ["g"]), node("Flatten", ["g"], ["z"]), node("Softmax", ["z"], ["y"]),
    ]
    rng = np.random.default_rng(11)
    w, (scale, shift, mean, var) = rng.normal(size=(4, 3, 2, 2)), (rng.uniform(0.5, 1.5, 4) for _ in range(4))
    parts = {"w": w, "scale": scale, "shift": shift, "mean": mean, "var": var}
    constants = [constant(name, value) for name, value in parts.items()]
    proto = model(nodes, [real("x", 3, 5, 5)], [real("y", 4)], constants, 17)
    for one in [*proto.graph.node, *proto.opset_import]:
        one.domain = "ai.onnx"

    def function(x):
        w, scale, shift, mean, var = (tensor(value.astype(np.float32)) for value in parts.values())
        y = F.batch_norm(F.conv2d(x, w), mean, var, scale, shift, eps=1e-5)
        return torch.softmax(y.mean((2, 3)), 1)

    return proto, [torch.rand(2, 3, 5, 5)], function


CORNERS = {
    "resizing": resizing,
    "transposed": transposed,
    "norms": norms,
    "powers": powers,
    "attentions": attentions,
    "attention_masks": attention_masks,
    "wide_heads": wide_heads,
    "alias": alias,
}

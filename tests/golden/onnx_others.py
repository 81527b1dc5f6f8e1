"""Files that PyTorch does not write: scikit-learn's through skl2onnx, and the patterns of tf2onnx, put together by hand (tensorflow itself is not
needed for them)."""

import numpy as np
import torch
from onnx import TensorProto, checker, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler


def tensor(value):
    return torch.tensor(np.asarray(value), dtype=torch.float64)


def scikit(model, classes, zipmap):
    """The model fitted to a small problem, its file, inputs and the same function in PyTorch."""
    x, y = make_classification(120, 5, n_informative=4, n_redundant=0, n_classes=classes, random_state=3)
    model.fit(x, y)
    options = {} if zipmap else {"zipmap": False}
    proto = to_onnx(model, x[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3}, options=options)
    inputs = torch.tensor(x[:2].astype(np.float32))
    last = model.steps[-1][1] if hasattr(model, "steps") else model

    def function(x):
        for _, step in getattr(model, "steps", [])[:-1]:
            if isinstance(step, StandardScaler):
                x = (x - tensor(step.mean_)) / tensor(step.scale_)
            else:
                x = x * tensor(step.scale_) + tensor(step.min_)
        if isinstance(last, LogisticRegression):
            z = x @ tensor(last.coef_).T + tensor(last.intercept_)
        else:
            z = x
            for i, (weight, bias) in enumerate(zip(last.coefs_, last.intercepts_, strict=True)):
                z = z @ tensor(weight) + tensor(bias)
                z = torch.relu(z) if i + 1 < len(last.coefs_) else z
        if z.shape[1] == 1:
            p = torch.sigmoid(z)
            return torch.cat([1 - p, p], 1)
        return torch.softmax(z, 1)

    return proto, [inputs], function


def mlp(hidden=(7,)):
    return MLPClassifier(hidden, max_iter=60, random_state=0)


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def model(nodes, inputs, outputs, constants, opset, classical=None):
    """A file; `classical` is the version of scikit-learn's domain, where there are nodes of it."""
    opsets = [helper.make_opsetid("", opset)] + ([] if classical is None else [helper.make_opsetid("ai.onnx.ml", classical)])
    proto = helper.make_model(helper.make_graph(nodes, "graph", inputs, outputs, constants), opset_imports=opsets)
    proto.ir_version = 8
    proto.producer_name = "percuss's tests"
    checker.check_model(proto)
    return proto


def keras_cnn():
    """A Keras CNN as tf2onnx writes it: channels last outside, transposed around a convolution with 'same' padding, an unfused batch norm,
    the image's mean, a dense layer as a product and a sum, softmax."""
    rng = np.random.default_rng(5)
    w1, b1 = rng.normal(size=(6, 3, 3, 3)) * 0.3, rng.normal(size=6) * 0.1
    scale, shift, mean, var = (rng.uniform(0.5, 1.5, 6) for _ in range(4))
    w2, b2 = rng.normal(size=(5, 6, 3, 3)) * 0.3, rng.normal(size=5) * 0.1
    dense, bias = rng.normal(size=(5, 3)), rng.normal(size=3)
    nodes = [
        helper.make_node("Transpose", ["image"], ["t0"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t0", "w1"], ["c1"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Add", ["c1", "b1"], ["a1"]),
        helper.make_node("Transpose", ["a1"], ["t1"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["t1"], ["r1"]),
        helper.make_node("Transpose", ["r1"], ["t2"], perm=[0, 3, 1, 2]),
        helper.make_node("BatchNormalization", ["t2", "scale", "shift", "mean", "var"], ["n1"], epsilon=0.001),
        helper.make_node("MaxPool", ["n1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID"),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"], auto_pad="SAME_UPPER", kernel_shape=[3, 3]),
        helper.make_node("LeakyRelu", ["c2"], ["r2"], alpha=0.3),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"]),
        helper.make_node("Squeeze", ["g", "axes"], ["s"]),
        helper.make_node("MatMul", ["s", "dense"], ["m"]),
        helper.make_node("Add", ["m", "bias"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=-1),
    ]
    constants = [
        constant("w1", w1), constant("b1", b1.reshape(1, 6, 1, 1)), constant("scale", scale), constant("shift", shift),
        constant("mean", mean), constant("var", var), constant("w2", w2), constant("b2", b2), constant("axes", [2, 3], np.int64),
        constant("dense", dense), constant("bias", bias),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["unk__1", 12, 12, 3])
    said = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["unk__2", 3])
    proto = model(nodes, [image], [said], constants, 15)

    def function(x):
        f = torch.nn.functional
        w = {one.name: torch.tensor(numpy_helper.to_array(one)).double() for one in constants if one.name != "axes"}
        y = torch.relu(f.conv2d(f.pad(x.permute(0, 3, 1, 2), (0, 1, 0, 1)), w["w1"], stride=2) + w["b1"])
        y = f.batch_norm(y, w["mean"], w["var"], w["scale"], w["shift"], eps=0.001)
        y = f.leaky_relu(f.conv2d(f.max_pool2d(y, 2), w["w2"], w["b2"], padding=1), 0.3)
        return torch.softmax(y.mean((2, 3)) @ w["dense"] + w["bias"], 1)

    return proto, [torch.rand(2, 12, 12, 3)], function


def keras_mlp():
    """A Keras MLP as tf2onnx writes it, with a sigmoid at its end."""
    rng = np.random.default_rng(6)
    layers = [(rng.normal(size=(7, 6)) * 0.5, rng.normal(size=6)), (rng.normal(size=(6, 1)), rng.normal(size=1))]
    nodes, constants, name = [], [], "features"
    for i, (weight, bias) in enumerate(layers):
        constants += [constant(f"w{i}", weight), constant(f"b{i}", bias)]
        nodes += [helper.make_node("MatMul", [name, f"w{i}"], [f"m{i}"]), helper.make_node("Add", [f"m{i}", f"b{i}"], [f"a{i}"])]
        name = f"r{i}"
        nodes.append(helper.make_node("Elu" if i == 0 else "Sigmoid", [f"a{i}"], [name]))
    nodes.append(helper.make_node("Identity", [name], ["dense_1"]))
    said = helper.make_tensor_value_info("dense_1", TensorProto.FLOAT, ["n", 1])
    proto = model(nodes, [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 7])], [said], constants, 13)

    def function(x):
        w = {one.name: torch.tensor(numpy_helper.to_array(one)).double() for one in constants}
        y = torch.nn.functional.elu(x @ w["w0"] + w["b0"])
        return torch.sigmoid(y @ w["w1"] + w["b1"])

    return proto, [torch.rand(2, 7)], function


def odd():
    """Identities in a row, a branch that leads nowhere, a factor computed from a shape, Split, Mod, Min of three, a slice backwards to the start."""
    nodes = [
        helper.make_node("Identity", ["x"], ["i0"]),
        helper.make_node("Identity", ["i0"], ["i1"]),
        helper.make_node("Dropout", ["i1"], ["i2"]),
        helper.make_node("Erf", ["i1"], ["nowhere"]),
        helper.make_node("Split", ["i2", "parts"], ["a", "b", "c"], axis=1),
        helper.make_node("Min", ["a", "half", "b"], ["least"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["columns"], axis=0),
        helper.make_node("Mod", ["columns", "four"], ["rest"]),
        helper.make_node("Cast", ["rest"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["least", "factor"], ["scaled"]),
        helper.make_node("Slice", ["c", "last", "first", "axis", "back"], ["turned"]),
        helper.make_node("Concat", ["scaled", "turned"], ["joined"], axis=-1),
        helper.make_node("Gemm", ["joined", "w", "bias"], ["y"], transB=1, alpha=0.5, beta=2.0),
    ]
    rng = np.random.default_rng(7)
    constants = [
        constant("parts", [2, 2, 2], np.int64), constant("half", 0.5), constant("one", [1], np.int64), constant("four", [4], np.int64),
        constant("last", [-1], np.int64), constant("first", [-100], np.int64), constant("axis", [1], np.int64), constant("back", [-1], np.int64),
        constant("w", rng.normal(size=(3, 4))), constant("bias", rng.normal(size=3)),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 6), ("y", 3)))
    proto = model(nodes, [x], [y], constants, 13)

    def function(x):
        w = {one.name: torch.tensor(numpy_helper.to_array(one)).double() for one in constants[-2:]}
        least = torch.minimum(x[:, :2], x[:, 2:4]).clamp(max=0.5)
        return 0.5 * torch.cat([2 * least, x[:, 4:].flip(1)], 1) @ w["w"].T + 2 * w["bias"]

    return proto, [torch.rand(1, 6)], function


OTHERS = {
    "logistic_binary": lambda: scikit(make_pipeline(StandardScaler(), LogisticRegression()), 2, True),
    "logistic_many": lambda: scikit(make_pipeline(MinMaxScaler(), LogisticRegression()), 3, False),
    "mlp_binary": lambda: scikit(mlp(), 2, True),
    "mlp_many": lambda: scikit(mlp((6, 4)), 3, False),
    "keras_cnn": keras_cnn,
    "keras_mlp": keras_mlp,
    "odd": odd,
}

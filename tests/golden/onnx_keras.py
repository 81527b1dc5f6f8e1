"""Keras models as tf2onnx writes them, and what onnxruntime and TensorFlow say of them.

    python onnx_keras.py     (in an environment of its own: requirements-keras.txt)

Writes onnx/tf_*.onnx and onnx_keras.safetensors: inputs, onnxruntime's outputs, TensorFlow's gradient of the sum of outputs, the k-th
counting k times.
"""

import os
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf2onnx  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

HERE = Path(__file__).parent
layers = tf.keras.layers


def chain(shape, *stack):
    x = inputs = tf.keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return tf.keras.Model(inputs, x)


def mlp():
    return chain(
        (7,), layers.Dense(12, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(9, activation="tanh"),
        layers.Dense(3, activation="softmax"),
    )


def activations():
    return chain(
        (7,), layers.LayerNormalization(), layers.Dense(12, activation="elu"), layers.Dense(9, activation="swish"), layers.Dense(9, activation="selu"),
        layers.Dense(9, activation="softplus"), layers.Dense(8), layers.LeakyReLU(), layers.Dense(1, activation="sigmoid"),
    )


def cnn():
    return chain(
        (12, 12, 1), layers.Rescaling(1 / 4), layers.Conv2D(4, 3, padding="same", strides=2, activation="relu"), layers.BatchNormalization(),
        layers.DepthwiseConv2D(3), layers.MaxPool2D(2), layers.Flatten(), layers.Dense(3),
    )


def pooled():
    return chain(
        (11, 12, 2), layers.Conv2D(4, 3, activation="relu6"), layers.AveragePooling2D(2), layers.SeparableConv2D(5, 3, padding="same"),
        layers.GlobalAveragePooling2D(), layers.Dense(3),
    )


def lstm():
    return chain((10, 3), layers.LSTM(6), layers.Dense(2))


# Opsets by model.
MODELS = {mlp: [13, 17], activations: [18], cnn: [13, 18], pooled: [17, 18], lstm: [15]}


def main():
    tf.keras.utils.set_random_seed(3)
    out = {}
    for make, opsets in MODELS.items():
        for opset in opsets:
            model = make()
            for weight in model.weights:
                if "moving" in weight.path:
                    weight.assign(tf.random.uniform(weight.shape, 0.5, 1.5))
                elif len(weight.shape) == 1:
                    weight.assign(weight + 0.1 * tf.random.normal(weight.shape))
            name = f"tf_{make.__name__}_{opset}"
            spec = (tf.TensorSpec((None,) + model.inputs[0].shape[1:], tf.float32, name="x"),)
            function = tf.function(lambda x: model(x, training=False), input_signature=spec)
            tf2onnx.convert.from_function(function, input_signature=spec, opset=opset, output_path=str(HERE / f"onnx/{name}.onnx"))
            x = tf.random.normal((3,) + model.inputs[0].shape[1:])
            session = onnxruntime.InferenceSession(HERE / f"onnx/{name}.onnx")
            out[f"{name}.output"] = session.run(None, {"x": x.numpy()})[0]
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
                value = tf.reduce_sum(y * tf.range(1, y.shape[1] + 1, dtype=tf.float32))
            out[f"{name}.input0"], out[f"{name}.gradient0"] = x.numpy(), tape.gradient(value, x).numpy()
            print(name, np.abs(y.numpy() - out[f"{name}.output"]).max())
    save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, HERE / "onnx_keras.safetensors")


if __name__ == "__main__":
    main()

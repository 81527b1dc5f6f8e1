"""Safetensors whose bytes are the same at every run: the library keeps metadata in an order that changes."""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {"float32": "F32", "int64": "I64", "uint8": "U8"}


def save(path, tensors, metadata):
    """Whole numbers stay as they are; reals become f32. Metadata that is not text is written as JSON."""
    arrays = {k: as_stored(v) for k, v in tensors.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in sorted(metadata.items())}
    header, offset = {"__metadata__": text}, 0
    for name in names:
        array = arrays[name]
        header[name] = {
            "dtype": DTYPES[str(array.dtype)], "shape": array.shape, "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path = Path(path)
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(arrays[name].tobytes() for name in names))
    print(f"{path.name}: {path.stat().st_size} bytes, {len(names)} tensors")


def as_stored(value):
    array = value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)
    return np.ascontiguousarray(array.astype(np.float32) if array.dtype.kind == "f" else array)

"""Named arrays as the bytes of a safetensors file, which stores keep."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from io import BufferedIOBase, BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberharmony.typing import Arrays

_DTYPES = {"BOOL": np.dtype(np.bool_)} | {
    f"{kind}{8 * n_bytes}": np.dtype(f"<{kind.lower()}{n_bytes}")
    for kind, sizes in {"I": (1, 2, 4, 8), "U": (1, 2, 4, 8), "F": (2, 4, 8)}.items()
    for n_bytes in sizes
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def as_safetensors(arrays: Arrays) -> bytes:
    """Named arrays as the bytes of a safetensors file."""
    return b"".join(safetensors_parts(arrays))


def safetensors_parts(arrays: Arrays) -> list[bytes | memoryview]:
    """Parts of a safetensors file, which share the memory of its arrays: larger elements first, so that all are aligned.

    The library asks NumPy for the name of every dtype, which takes longer than all the rest for the small arrays of a chunk.
    """
    header, contents, begin = {}, [], 0
    for key, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        content = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        end = begin + content.nbytes
        header[key] = {"dtype": _NAMES[content.dtype], "shape": content.shape, "data_offsets": (begin, end)}
        contents.append(content.reshape(-1).view(np.uint8).data)
        begin = end
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return [len(head).to_bytes(8, "little") + head, *contents]


def from_safetensors(content: bytes) -> Arrays:
    """Return the named arrays that `as_safetensors` has made bytes of."""
    return dict(arrays_in(BytesIO(content), ""))


def arrays_in(handle: BufferedIOBase, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and arrays of a safetensors file. The library would map the file, and end the process if its share goes away.

    After eight bytes with its length comes a JSON object with the dtype, the shape and the place of every array
    (https://github.com/huggingface/safetensors#format).
    """
    length = int.from_bytes(handle.read(8), "little")
    header = json.loads(handle.read(length))
    for name, entry in header.items():
        if name.startswith(prefix) and name != "__metadata__":
            array = np.empty(entry["shape"], _DTYPES[entry["dtype"]])
            handle.seek(8 + length + entry["data_offsets"][0])
            if array.nbytes and handle.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
                raise OSError(errno.EIO, "the file ends too early", getattr(handle, "name", None))
            yield name, array


def prefixed(states: dict[str, Arrays]) -> Arrays:
    """Arrays of several states as one mapping, each name behind its state's.

    Examples
    --------
    >>> prefixed({"a": {"x": 1}, "b": {"x": 2}})
    {'a/x': 1, 'b/x': 2}
    """
    return {f"{name}/{key}": array for name, arrays in states.items() for key, array in arrays.items()}


def by_prefix(arrays: Arrays) -> dict[str, Arrays]:
    """The states that `prefixed` has put together.

    Examples
    --------
    >>> by_prefix({"a/x": 1, "a/y": 2, "b/x": 3})
    {'a': {'x': 1, 'y': 2}, 'b': {'x': 3}}
    """
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        state, _, key = name.partition("/")
        states.setdefault(state, {})[key] = array
    return dict(states)

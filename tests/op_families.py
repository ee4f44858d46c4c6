"""One function a kind of op, each adding one random op to an `OpCases`.

Parameters stay inside what TFLM takes: it aborts the process, or refuses, beyond.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.op_cases import Family, OpCases


def activation(c: OpCases, scale: float) -> str:
    """A fused activation. TFLM refuses one when 6 / scale does not fit int32."""
    return c.pick("NONE", "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1") if scale > 1e-8 else "NONE"


def add(c: OpCases, kind: str = "ADD") -> None:
    a, b, out = c.broadcast_pair()
    qa = c.quantization(*c.pick((0.004, 0.3), (0.004, 0.3), (1e-4, 20)))
    # Equal scales, and ratios from far below 2**-31 to 1, are all legal; the output's must stay above 2**-19 of the larger.
    qb = {"scale": qa["scale"] * c.pick(1.0, 0.5, c.scale(1e-3, 1), c.scale(1e-11, 1)), "zero_point": c.zero_point()}
    qa, qb = c.pick((qa, qb), (qb, qa))
    largest = max(qa["scale"], qb["scale"])
    qo = {"scale": largest * c.ratio(smallest=5e-6), "zero_point": c.zero_point()}
    inputs = [c.source(a, **qa), c.input(b, **qb)]
    c.builder.op(kind, inputs, [c.output(out, **qo)], activation=activation(c, qo["scale"]))


def sub(c: OpCases) -> None:
    add(c, "SUB")


def mul(c: OpCases) -> None:
    a, b, out = c.broadcast_pair()
    qa, qb = c.quantization(), c.quantization()
    real = qa["scale"] * qb["scale"]
    qo = {"scale": real * c.ratio(10, 500, largest=1e12), "zero_point": c.zero_point()}
    inputs = [c.source(a, **qa), c.input(b, **qb)]
    c.builder.op("MUL", inputs, [c.output(out, **qo)], activation=activation(c, qo["scale"]))


def maximum(c: OpCases) -> None:
    a, b, out = c.broadcast_pair()
    q = c.quantization()
    c.builder.op(c.pick("MAXIMUM", "MINIMUM"), [c.source(a, **q), c.input(b, **q)], [c.output(out, **q)])


def prelu(c: OpCases) -> None:
    out = c.shape(1, 4)
    slope = c.pick(out, (1,) * (len(out) - 1) + out[-1:], out[1:], (1,) * len(out))
    qx, qs = c.quantization(), c.quantization()
    qo = {"scale": qx["scale"] * c.ratio(), "zero_point": c.zero_point()}
    alpha = c.constant(c.data(slope), "int8", **qs) if c.pick(True, True, False) else c.input(slope, **qs)
    c.builder.op("PRELU", [c.input(out, **qx), alpha], [c.output(out, **qo)])


def unary(c: OpCases) -> None:
    kind = c.pick("RELU", "RELU", "RELU6", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE")
    shape = c.shape(0, 5)
    qx, qo = c.quantization(), c.quantization()
    options: dict[str, Any] = {}
    if kind == "RELU":
        qo = c.pick(qx, qo, {"scale": qx["scale"], "zero_point": c.zero_point()}, c.quantization(1e-4, 20))
    elif kind == "RELU6":
        qo = c.pick(qx, qo)
    elif kind == "LEAKY_RELU":
        options["alpha"] = c.pick(0.1, 0.3, 0.01, 1.5, -0.2, 0.0)
    elif kind == "HARD_SWISH":
        qx = c.quantization(1e-5, 10)
        qo = {"scale": qx["scale"] * c.scale(0.01, 100), "zero_point": c.zero_point()}
    elif kind == "LOGISTIC":
        qx, qo = c.quantization(1e-6, 20), {"scale": 1 / 256, "zero_point": -128}
    elif kind == "TANH":
        qx, qo = c.quantization(1e-6, 20), {"scale": 1 / 128, "zero_point": 0}
    else:
        qo = c.pick(qx, qo, c.quantization(1e-4, 20), c.quantization(1e-8, 1e8))
    x = c.input(shape, **qx)
    c.values[-1].reshape(-1)[:4] = np.array([-128, 127, qx["zero_point"], 0])[: c.values[-1].size]
    c.builder.op(kind, [x], [c.output(shape, **qo)], **options)


def every_count(c: OpCases) -> None:
    """A unary op on all 256 int8 counts."""
    first = len(c.inputs)
    shape = c.shape
    c.shape = lambda *_: (256,)  # type: ignore[method-assign]
    try:
        unary(c)
    finally:
        c.shape = shape  # type: ignore[method-assign]
    c.values[first][:] = np.arange(-128, 128)


def quantize_types(c: OpCases) -> None:
    """QUANTIZE between integer types."""
    source, target = c.pick(("int8", "uint8"), ("uint8", "int8"), ("int8", "int16"), ("int16", "int8"), ("int16", "int16"))
    shape = c.shape(0, 4)
    quantized = []
    scale = c.scale()
    for dtype in (source, target):
        zero = {"int8": c.zero_point(), "uint8": c.zero_point() + 128, "int16": 0}[dtype]
        low = scale / 256 if dtype == "int16" else scale
        quantized.append({"scale": low * c.pick(1.0, c.scale(0.3, 3), c.scale(1e-3, 1e3)), "zero_point": zero})
    if {source, target} == {"int8", "uint8"} and c.pick(True, False):
        quantized = [{"scale": scale, "zero_point": q["zero_point"]} for q in quantized]
        quantized[1]["zero_point"] = quantized[0]["zero_point"] + (128 if target == "uint8" else -128)
    c.builder.op("QUANTIZE", [c.input(shape, source, **quantized[0])], [c.output(shape, target, **quantized[1])])


def softmax(c: OpCases) -> None:
    shape = c.shape(0, 3) + (c.pick(1, 2, 10, 12, int(c.rng.integers(1, 300))),)
    q = c.quantization(*c.pick((0.02, 0.3), (1e-4, 20), (1e-6, 1e-3)))
    wide = c.rng.random() < 0.3
    out = {"scale": 1 / 65536, "zero_point": -32768} if wide else {"scale": 1 / 256, "zero_point": -128}
    x = c.input(shape, **q)
    if c.pick(True, False):
        c.values[-1][...] = c.values[-1] // 16
    c.builder.op("SOFTMAX", [x], [c.output(shape, "int16" if wide else "int8", **out)], beta=c.pick(1.0, 1.0, 0.5, 3.0))


def pool(c: OpCases) -> None:
    n, h, w, depth = c.pick(1, 1, 2), *(int(c.rng.integers(1, 10)) for _ in range(3))
    padding = c.pick("SAME", "VALID")
    fh, fw = (int(c.rng.integers(1, 5)) for _ in range(2))
    if padding == "VALID":
        fh, fw = min(fh, h), min(fw, w)
    if c.rng.random() < 0.15:
        fh, fw, padding = h, w, "VALID"
    sh, sw = (int(c.rng.integers(1, 4)) for _ in range(2))
    oh = -(-h // sh) if padding == "SAME" else (h - fh) // sh + 1
    ow = -(-w // sw) if padding == "SAME" else (w - fw) // sw + 1
    q = c.quantization()
    c.builder.op(
        c.pick("AVERAGE_POOL_2D", "MAX_POOL_2D"),
        [c.input((n, h, w, depth), **q)],
        [c.output((n, oh, ow, depth), **q)],
        padding=padding,
        stride_h=sh,
        stride_w=sw,
        filter_height=fh,
        filter_width=fw,
        activation=activation(c, q["scale"]),
    )


def mean(c: OpCases, kind: str = "MEAN", spread: float = 1) -> None:
    shape = c.shape(1, 5, 7)
    rank = len(shape)
    axes = [int(a) for a in c.rng.permutation(rank)[: int(c.rng.integers(1, rank + 1))]]
    keep = c.pick(True, False)
    kept = tuple(1 if i in axes else d for i, d in enumerate(shape))
    out = kept if keep else tuple(d for i, d in enumerate(shape) if i not in axes)
    qx = c.quantization()
    qo = {"scale": qx["scale"] * c.ratio(0.3 * spread, 3 * spread), "zero_point": c.zero_point()}
    given = [a - rank if c.pick(True, False) else a for a in axes]
    c.builder.op(kind, [c.input(shape, **qx), c.constant(given)], [c.output(out, **qo)], keep_dims=keep)


def sum_(c: OpCases) -> None:
    mean(c, "SUM", 30)


def reduce_max(c: OpCases) -> None:
    """REDUCE_MAX over axes that lie side by side."""
    shape = c.shape(1, 5, 7)
    first = int(c.rng.integers(0, len(shape)))
    axes = list(range(first, int(c.rng.integers(first + 1, len(shape) + 1))))
    keep = c.pick(True, False)
    out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    q = c.quantization()
    given = [int(a) - (len(shape) if c.pick(True, False) else 0) for a in c.rng.permutation(axes)]
    c.builder.op("REDUCE_MAX", [c.input(shape, **q), c.constant(given)], [c.output(out, **q)], keep_dims=keep)


def pad(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16", "int32")
    shape = c.shape(1, 5, 4)
    widths = c.rng.integers(0, 3, (len(shape), 2)) * c.rng.integers(0, 2, (len(shape), 1))
    out = tuple(int(d + w.sum()) for d, w in zip(shape, widths, strict=True))
    q = c.quantization() if dtype == "int8" else {}
    x, paddings = c.input(shape, dtype, **q), c.constant(widths)
    if dtype == "int8" and c.pick(True, False):
        value = c.constant(c.data((1,)), "int8", **q)
        c.builder.op("PADV2", [x, paddings, value], [c.output(out, dtype, **q)])
    else:
        c.builder.op("PAD", [x, paddings], [c.output(out, dtype, **q)])


def transpose(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16")
    shape = c.shape(1, 5)
    perm = [int(p) for p in c.rng.permutation(len(shape))]
    q = c.quantization() if dtype == "int8" else {}
    c.builder.op("TRANSPOSE", [c.input(shape, dtype, **q), c.constant(perm)], [c.output([shape[p] for p in perm], dtype, **q)])


def strided_slice(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16", "int32", "bool")
    shape = c.shape(1, 4)
    rank = len(shape)
    while True:
        begin, end = c.rng.integers(-8, 9, rank), c.rng.integers(-8, 9, rank)
        strides = c.rng.choice([1, 1, 1, 2, 3, -1, -2], rank)
        masks = {k: int(c.rng.integers(0, 1 << rank)) for k in ("begin_mask", "end_mask")}
        shrink = int(c.rng.integers(0, 1 << rank)) & int(c.rng.integers(0, 1 << rank))
        out, index = [], []
        for i, size in enumerate(shape):
            if shrink >> i & 1:
                begin[i] = c.rng.integers(-size, size)
                strides[i] = 1
                masks["begin_mask"] &= ~(1 << i)
                index.append(int(begin[i]))
                continue
            first = None if masks["begin_mask"] >> i & 1 else int(begin[i])
            last = None if masks["end_mask"] >> i & 1 else int(end[i])
            index.append(slice(first, last, int(strides[i])))
            out.append(len(range(*slice(first, last, int(strides[i])).indices(size))))
        if all(out):
            break
    q = c.quantization() if dtype == "int8" else {}
    inputs = [c.input(shape, dtype, **q), c.constant(begin), c.constant(end), c.constant(strides)]
    c.builder.op("STRIDED_SLICE", inputs, [c.output(out, dtype, **q)], shrink_axis_mask=shrink, **masks)


def concatenation(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16", "int32", "bool")
    shape = c.shape(1, 5, 4)
    axis = int(c.rng.integers(len(shape)))
    q = c.quantization() if dtype == "int8" else {}
    sizes = [int(c.rng.integers(1, 5)) for _ in range(int(c.rng.integers(1, 6)))]
    parts = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    inputs = [c.source(p, **q) if dtype == "int8" else c.input(p, dtype, **q) for p in parts]
    out = c.output((*shape[:axis], sum(sizes), *shape[axis + 1 :]), dtype, **q)
    c.builder.op("CONCATENATION", inputs, [out], axis=c.pick(axis, axis - len(shape)))


def split(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16", "int32")
    shape = list(c.shape(1, 5, 4))
    axis, count = int(c.rng.integers(len(shape))), int(c.rng.integers(1, 5))
    q = c.quantization() if dtype == "int8" else {}
    outputs = [c.output(shape, dtype, **q) for _ in range(count)]
    whole = [d * count if i == axis else d for i, d in enumerate(shape)]
    at = c.constant(c.pick(axis, axis - len(shape)))
    c.builder.op("SPLIT", [at, c.input(whole, dtype, **q)], outputs, num_splits=count)


def pack(c: OpCases) -> None:
    dtype = c.pick("int8", "int8", "int16", "int32")
    shape = c.shape(0, 4, 4)
    axis, count = int(c.rng.integers(len(shape) + 1)), int(c.rng.integers(1, 5))
    q = c.quantization() if dtype == "int8" else {}
    whole = (*shape[:axis], count, *shape[axis:])
    given = c.pick(axis, axis - len(whole))
    if c.pick(True, False):
        inputs = [c.input(shape, dtype, **q) for _ in range(count)]
        c.builder.op("PACK", inputs, [c.output(whole, dtype, **q)], axis=given, values_count=count)
    else:
        outputs = [c.output(shape, dtype, **q) for _ in range(count)]
        c.builder.op("UNPACK", [c.input(whole, dtype, **q)], outputs, axis=given, num=count)


def rename(c: OpCases) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    shape = c.shape(1, 4)
    q = c.quantization()
    kind = c.pick("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
    x = c.input(shape, **q)
    if kind == "RESHAPE":
        out = [int(d) for d in c.pick((-1,), (1, -1), tuple(reversed(shape)))]
        out = [int(np.prod(shape)) if d == -1 else d for d in out]
        c.builder.op(kind, [x, c.constant(out)], [c.output(out, **q)], new_shape=out)
    elif kind == "SQUEEZE":
        c.builder.op(kind, [x], [c.output([d for d in shape if d != 1], **q)])
    else:
        axis = int(c.rng.integers(len(shape) + 1))
        c.builder.op(kind, [x, c.constant(axis)], [c.output((*shape[:axis], 1, *shape[axis:]), **q)])


def resize(c: OpCases) -> None:
    n, depth = c.pick(1, 1, 2), int(c.rng.integers(1, 6))
    h, w, oh, ow = (int(c.rng.integers(1, 12)) for _ in range(4))
    if c.pick(True, False):
        factor = c.pick(2, 3, 4)
        oh, ow = h * factor, w * factor
    kind = c.pick("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
    align, half = c.pick((False, False), (True, False), (False, True))
    q = c.quantization()
    inputs = [c.input((n, h, w, depth), **q), c.constant([oh, ow])]
    c.builder.op(kind, inputs, [c.output((n, oh, ow, depth), **q)], align_corners=align, half_pixel_centers=half)


FAMILIES: tuple[Family, ...] = (
    add,
    sub,
    mul,
    prelu,
    maximum,
    unary,
    every_count,
    quantize_types,
    softmax,
    pool,
    mean,
    reduce_max,
    sum_,
    pad,
    transpose,
    strided_slice,
    concatenation,
    split,
    pack,
    rename,
    resize,
)

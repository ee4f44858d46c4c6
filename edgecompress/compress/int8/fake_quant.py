"""Keras layers that compute in float on the int8 grid: activation ranges that follow the data, and layers with int8 kernels.

Activations: `q = round(x / scale) + zero_point` on 256 steps between a low and a high that always include 0: moving averages of the
batches' extremes. Kernels: `q = round(w / scale)` in [-127, 127] with one `scale = max|w| / 127` per output channel, as in the .tflite.
Gradients pass through the rounding and stop outside the range. A kernel may be on a coarser grid, a codebook of levels: see `levels`.
"""

from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from edgecompress.compress.grid.levels import kernel_on_levels, moved_levels

RANGE_MOMENTUM = 0.99
"""Share of the old range that a training batch keeps; the first batch sets it."""

# A kernel channel of zeros has no scale of its own; any positive one gives zeros.
_SMALLEST_WEIGHT_RANGE = 1e-9
# An activation that was always zero: any range gives zeros.
_EMPTY_RANGE_HIGH = 1.0

_PACKAGE = "edgecompress"


@keras.saving.register_keras_serializable(package=_PACKAGE)
class FakeQuant(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no type information
    """Rounds activations to the int8 grid of one range, which several tensors may share.

    Tensors that must have one scale (the inputs of a concatenation, say) call the same object, each with a slot of its own: the range is
    the smallest that holds the moving range of every slot. Slot -1 rounds without observing.

    Args:
        slots: how many tensors are observed.
        low, high: a range that is known (a sigmoid's is 0 to 255/256) instead of an observed one.
        bits: 8, or 16: then the grid is symmetric, 32767 steps on either side of 0, as int16 kernels have it.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        low: float | None = None,
        high: float | None = None,
        bits: int = 8,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.slots = slots
        self.bits = bits
        self.low = low
        self.high = high
        # The moving averages are assigned in the middle of the graph.
        self.supports_jit = False

    @property
    def is_fixed(self) -> bool:
        return self.low is not None and self.high is not None

    @property
    def is_symmetric(self) -> bool:
        return self.bits == 16

    def build(self, input_shape: Any) -> None:  # noqa: ANN401
        if not self.is_fixed:
            # One row a slot: low, high, 1 once it has seen a batch.
            self.ranges = self.add_weight(
                name="ranges", shape=(self.slots, 3), initializer="zeros", trainable=False, aggregation="only_first_replica"
            )

    def call(self, inputs: Any, slot: int = 0, nonnegative: bool = False, training: Any = None) -> Any:  # noqa: ANN401
        if self.low is not None and self.high is not None:
            return tf.quantization.fake_quant_with_min_max_args(
                inputs, self.low, self.high, num_bits=self.bits, narrow_range=self.is_symmetric
            )
        ranges = tf.convert_to_tensor(self.ranges)
        if training and slot >= 0:
            ranges = _observe(ranges, inputs, slot, nonnegative)
            self.ranges.assign(ranges)
        low, high = tf.reduce_min(ranges[:, 0]), tf.reduce_max(ranges[:, 1])
        high = tf.where(high > low, high, _EMPTY_RANGE_HIGH)
        if self.is_symmetric:
            high = tf.maximum(high, -low)
            low = -high
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high, num_bits=self.bits, narrow_range=self.is_symmetric)

    def compute_output_shape(self, input_shape: Any, **_: Any) -> Any:  # noqa: ANN401
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "slots": self.slots, "low": self.low, "high": self.high, "bits": self.bits}


def _observe(ranges: Any, inputs: Any, slot: int, nonnegative: bool) -> Any:  # noqa: ANN401
    """[slots, 3] with the slot's row moved towards this batch."""
    values = tf.stop_gradient(inputs)
    low = tf.zeros(()) if nonnegative else tf.minimum(tf.reduce_min(values), 0.0)
    high = tf.maximum(tf.reduce_max(values), 0.0)
    row = ranges[slot]
    step = tf.where(row[2] > 0, 1.0 - RANGE_MOMENTUM, 1.0)
    moved = row + tf.stack([step, step, 1.0]) * (tf.stack([low, high, 1.0]) - row)
    if ranges.shape[0] == 1:
        return moved[tf.newaxis]
    return tf.tensor_scatter_nd_update(ranges, [[slot]], [moved])


def fake_quant_kernel(kernel: Any, *, depthwise: bool = False, transposed: bool = False, per_tensor: bool = False) -> Any:  # noqa: ANN401
    """The kernel on its int8 grid, one scale per output channel; gradients pass unchanged.

    Args:
        kernel: [..., in, out]; depthwise [..., in, multiplier] (every pair is an output); transposed [..., out, in].
        per_tensor: one scale for the whole kernel instead.
    """
    if per_tensor:
        limit = tf.maximum(tf.reduce_max(tf.abs(tf.stop_gradient(kernel))), _SMALLEST_WEIGHT_RANGE)
        return tf.quantization.fake_quant_with_min_max_vars(kernel, -limit, limit, narrow_range=True)
    flat = kernel_columns(kernel, transposed=transposed, depthwise=depthwise)
    largest = tf.maximum(tf.reduce_max(tf.abs(tf.stop_gradient(flat)), axis=0), _SMALLEST_WEIGHT_RANGE)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -largest, largest, narrow_range=True)
    return kernel_of_columns(rounded, kernel.shape, transposed=transposed)


def kernel_columns(kernel: Any, *, depthwise: bool = False, transposed: bool = False) -> Any:  # noqa: ANN401
    """[N, C]: the kernel with one column for each output channel."""
    if transposed:
        kernel = _swap_channels(kernel)
    return tf.reshape(kernel, (-1, kernel.shape[-1] * (kernel.shape[-2] if depthwise else 1)))


def kernel_of_columns(columns: Any, shape: Any, *, transposed: bool = False) -> Any:  # noqa: ANN401
    """The kernel of this shape that `kernel_columns` laid out."""
    if not transposed:
        return tf.reshape(columns, shape)
    return _swap_channels(tf.reshape(columns, (*shape[:-2], shape[-1], shape[-2])))


def _swap_channels(kernel: Any) -> Any:  # noqa: ANN401
    rank = len(kernel.shape)
    return tf.transpose(kernel, [*range(rank - 2), rank - 1, rank - 2])


INT8_OPTIONS = ("kernel_gain", "keep_zeros", "per_tensor", "levels", "levels_scope", "train_levels", "tied")
"""What the config of a layer with an int8 kernel has beside the float layer's."""


class _Int8Kernel:
    """What the layers below share: the kernel they use is `round_to_int8(kernel * kernel_gain * mask)`, or that on a codebook.

    Args:
        kernel_gain: constant between the variable and the kernel. Folding a Rescaling(1/255) leaves weights so small that one optimizer
            step would drown them; the variable is kept at the usual size instead.
        keep_zeros: weights that are zero when the layer is made stay zero in training (`kernel_mask` holds where).
        per_tensor: one scale for the whole kernel instead of one per output channel; a codebook keeps one per output channel.
        levels: size of the codebook; 0 for none, which is every int8 value. With one, the layer holds `kernel_levels` ([levels], or
            [C, levels]; whole numbers in int8 counts), and `kernel_log_scales` ([C]) instead of taking each scale from the weights.
        levels_scope: one codebook for the layer, or one for each output channel.
        train_levels: levels move in training, by `level_shifts` (in units of 127 counts).
        tied: output channel c uses the integers of channel `kernel_ties[c]`, with its own scale.
    """

    # How the output channels lie in the kernel.
    _depthwise: ClassVar[bool] = False
    _transposed: ClassVar[bool] = False

    kernel_gain: float
    keep_zeros: bool
    per_tensor: bool
    levels: int
    levels_scope: Literal["layer", "channel"]
    train_levels: bool
    tied: bool
    kernel: Any

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        kernel_gain: float = 1.0,
        keep_zeros: bool = False,
        per_tensor: bool = False,
        levels: int = 0,
        levels_scope: Literal["layer", "channel"] = "layer",
        train_levels: bool = False,
        tied: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_gain = kernel_gain
        self.keep_zeros = keep_zeros
        self.per_tensor = per_tensor
        self.levels = levels
        self.levels_scope = levels_scope
        self.train_levels = train_levels
        self.tied = tied
        if levels:
            # XLA has no search in sorted numbers.
            self.supports_jit = False

    def build(self, input_shape: Any) -> None:  # noqa: ANN401
        super().build(input_shape)  # type: ignore[misc]  # the Keras layer beside this class in the bases
        shape = self.kernel.shape
        channels = kernel_columns(tf.zeros(shape), depthwise=self._depthwise, transposed=self._transposed).shape[1]
        codebook = (self.levels,) if self.levels_scope == "layer" else (channels, self.levels)
        if self.levels:
            self._add("kernel_log_scales", (channels,), trainable=True)
            if self.train_levels:
                self._add("level_shifts", codebook, trainable=True)
        if self.keep_zeros:
            self._add("kernel_mask", shape, initializer="ones")
        if self.levels:
            self._add("kernel_levels", codebook)
            if self.tied:
                self._add("kernel_ties", (channels,), dtype="int32")

    def _add(
        self, name: str, shape: tuple[int, ...], *, initializer: str = "zeros", trainable: bool = False, dtype: str = "float32"
    ) -> None:
        weight = self.add_weight(name=name, shape=shape, initializer=initializer, trainable=trainable, dtype=dtype)  # type: ignore[attr-defined]
        setattr(self, name, weight)

    def save_own_variables(self, store: Any) -> None:  # noqa: ANN401
        """All variables, the mask as well: Keras' own convolutions and dense layers save kernel and bias only, and load no more."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:  # noqa: ANN401
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {**config, **{name: getattr(self, name) for name in INT8_OPTIONS}}

    @property
    def effective_kernel(self) -> Any:  # noqa: ANN401
        """The kernel in the model's units, before rounding."""
        kernel = tf.convert_to_tensor(self.kernel)
        if self.keep_zeros:
            kernel = kernel * tf.convert_to_tensor(self.kernel_mask)  # type: ignore[attr-defined]  # added by build
        return kernel * self.kernel_gain if self.kernel_gain != 1.0 else kernel

    @property
    def int8_kernel(self) -> Any:  # noqa: ANN401
        """The kernel that the layer computes with, in the model's units."""
        kernel = self.effective_kernel
        if not self.levels:
            return fake_quant_kernel(kernel, depthwise=self._depthwise, transposed=self._transposed, per_tensor=self.per_tensor)
        columns = kernel_columns(kernel, depthwise=self._depthwise, transposed=self._transposed)
        ties = tf.convert_to_tensor(self.kernel_ties) if self.tied else None  # type: ignore[attr-defined]
        on_levels = kernel_on_levels(columns, tf.convert_to_tensor(self.kernel_log_scales), self._codebook(), ties)  # type: ignore[attr-defined]
        return kernel_of_columns(on_levels, kernel.shape, transposed=self._transposed)

    def _codebook(self) -> Any:  # noqa: ANN401
        levels = tf.reshape(self.kernel_levels, (-1, self.levels))  # type: ignore[attr-defined]
        return moved_levels(levels, tf.reshape(self.level_shifts, levels.shape)) if self.train_levels else levels  # type: ignore[attr-defined]

    def _finish(self, outputs: Any) -> Any:  # noqa: ANN401
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs  # type: ignore[attr-defined]


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv1D(_Int8Kernel, keras.layers.Conv1D):  # type: ignore[misc]
    """Conv1D on an int8 kernel."""

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        # Keras' own call does not go through convolution_op: it pads causally first.
        causal = self.padding == "causal"
        outputs = keras.ops.conv(
            keras.ops.pad(inputs, self._compute_causal_padding()) if causal else inputs,
            self.int8_kernel,
            strides=list(self.strides),
            padding="valid" if causal else self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        return self._finish(outputs)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv2D(_Int8Kernel, keras.layers.Conv2D):  # type: ignore[misc]
    """Conv2D on an int8 kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:  # noqa: ANN401
        return super().convolution_op(inputs, self.int8_kernel)


class _Int8Depthwise(_Int8Kernel):
    _depthwise = True

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        outputs = keras.ops.depthwise_conv(
            inputs,
            self.int8_kernel,
            strides=self.strides,  # type: ignore[attr-defined]
            padding=self.padding,  # type: ignore[attr-defined]
            dilation_rate=self.dilation_rate,  # type: ignore[attr-defined]
            data_format="channels_last",
        )
        return self._finish(outputs)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8DepthwiseConv1D(_Int8Depthwise, keras.layers.DepthwiseConv1D):  # type: ignore[misc]
    """DepthwiseConv1D on an int8 kernel."""


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8DepthwiseConv2D(_Int8Depthwise, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """DepthwiseConv2D on an int8 kernel."""


class _Int8Transposed(_Int8Kernel):
    _transposed = True

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        outputs = keras.ops.conv_transpose(
            inputs,
            self.int8_kernel,
            strides=list(self.strides),  # type: ignore[attr-defined]
            padding=self.padding,  # type: ignore[attr-defined]
            output_padding=self.output_padding,  # type: ignore[attr-defined]
            dilation_rate=self.dilation_rate,  # type: ignore[attr-defined]
            data_format="channels_last",
        )
        return self._finish(outputs)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv1DTranspose(_Int8Transposed, keras.layers.Conv1DTranspose):  # type: ignore[misc]
    """Conv1DTranspose on an int8 kernel."""


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv2DTranspose(_Int8Transposed, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """Conv2DTranspose on an int8 kernel."""


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Dense(_Int8Kernel, keras.layers.Dense):  # type: ignore[misc]
    """Dense on an int8 kernel."""

    def call(self, inputs: Any, training: Any = None) -> Any:  # noqa: ANN401
        return self._finish(keras.ops.matmul(inputs, self.int8_kernel))


INT8_KINDS: dict[type, type] = {
    keras.layers.Conv1D: Int8Conv1D,
    keras.layers.Conv2D: Int8Conv2D,
    keras.layers.DepthwiseConv1D: Int8DepthwiseConv1D,
    keras.layers.DepthwiseConv2D: Int8DepthwiseConv2D,
    keras.layers.Conv1DTranspose: Int8Conv1DTranspose,
    keras.layers.Conv2DTranspose: Int8Conv2DTranspose,
    keras.layers.Dense: Int8Dense,
}

FLOAT_KINDS: dict[type, type] = {quantized: plain for plain, quantized in INT8_KINDS.items()}


def int8_weight_names(config: dict[str, Any]) -> tuple[str, ...]:
    """What the weights of a layer of that config are, in the order of `get_weights()`."""
    wanted = {
        "kernel": True,
        # Layers that a pass made hold only what differs from the defaults.
        "bias": config.get("use_bias", True),
        "kernel_log_scales": config["levels"] > 0,
        "level_shifts": config["levels"] > 0 and config["train_levels"],
        "kernel_mask": config["keep_zeros"],
        "kernel_levels": config["levels"] > 0,
        "kernel_ties": config["levels"] > 0 and config["tied"],
    }
    return tuple(name for name, there in wanted.items() if there)

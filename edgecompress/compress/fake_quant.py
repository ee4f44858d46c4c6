"""Keras layers that compute in float on the int8 grid: activation ranges that follow the data, and layers with int8 kernels.

Activations: `q = round(x / scale) + zero_point` on 256 steps between a low and a high that always include 0: moving averages of the
batches' extremes. Kernels: `q = round(w / scale)` in [-127, 127] with one `scale = max|w| / 127` per output channel, as in the .tflite.
Gradients pass through the rounding and stop outside the range.
"""

from typing import Any

import keras
import tensorflow as tf

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
            self.ranges = self.add_weight(name="ranges", shape=(self.slots, 3), initializer="zeros", trainable=False)

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
    if transposed:
        axes = [*range(len(kernel.shape) - 2), len(kernel.shape) - 1, len(kernel.shape) - 2]
        return tf.transpose(fake_quant_kernel(tf.transpose(kernel, axes)), axes)
    channels = kernel.shape[-1] * (kernel.shape[-2] if depthwise else 1)
    flat = tf.reshape(kernel, (-1, channels))
    largest = tf.maximum(tf.reduce_max(tf.abs(tf.stop_gradient(flat)), axis=0), _SMALLEST_WEIGHT_RANGE)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -largest, largest, narrow_range=True)
    return tf.reshape(rounded, kernel.shape)


class _Int8Kernel:
    """What the layers below share: the kernel they use is `round_to_int8(kernel * kernel_gain * mask)`.

    Args:
        kernel_gain: constant between the variable and the kernel. Folding a Rescaling(1/255) leaves weights so small that one optimizer
            step would drown them; the variable is kept at the usual size instead.
        keep_zeros: weights that are zero when the layer is made stay zero in training (`kernel_mask` holds where).
        per_tensor: one scale for the whole kernel instead of one per output channel.
    """

    kernel_gain: float
    keep_zeros: bool
    per_tensor: bool
    kernel_mask: Any
    kernel: Any

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        kernel_gain: float = 1.0,
        keep_zeros: bool = False,
        per_tensor: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_gain = kernel_gain
        self.keep_zeros = keep_zeros
        self.per_tensor = per_tensor

    def build(self, input_shape: Any) -> None:  # noqa: ANN401
        super().build(input_shape)  # type: ignore[misc]  # the Keras layer beside this class in the bases
        if self.keep_zeros:
            self.kernel_mask = self.add_weight(  # type: ignore[attr-defined]
                name="kernel_mask", shape=self.kernel.shape, initializer="ones", trainable=False
            )

    def save_own_variables(self, store: Any) -> None:  # noqa: ANN401
        """All variables, the mask as well: Keras' own convolutions and dense layers save kernel and bias only, and load no more."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:  # noqa: ANN401
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {**config, "kernel_gain": self.kernel_gain, "keep_zeros": self.keep_zeros, "per_tensor": self.per_tensor}

    @property
    def effective_kernel(self) -> Any:  # noqa: ANN401
        """The kernel in the model's units, before rounding."""
        kernel = tf.convert_to_tensor(self.kernel)
        if self.keep_zeros:
            kernel = kernel * tf.convert_to_tensor(self.kernel_mask)
        return kernel * self.kernel_gain if self.kernel_gain != 1.0 else kernel

    def _finish(self, outputs: Any) -> Any:  # noqa: ANN401
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs  # type: ignore[attr-defined]


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv1D(_Int8Kernel, keras.layers.Conv1D):  # type: ignore[misc]
    """Conv1D on an int8 kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:  # noqa: ANN401
        return super().convolution_op(inputs, fake_quant_kernel(self.effective_kernel, per_tensor=self.per_tensor))


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Int8Conv2D(_Int8Kernel, keras.layers.Conv2D):  # type: ignore[misc]
    """Conv2D on an int8 kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:  # noqa: ANN401
        return super().convolution_op(inputs, fake_quant_kernel(self.effective_kernel, per_tensor=self.per_tensor))


class _Int8Depthwise(_Int8Kernel):
    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        outputs = keras.ops.depthwise_conv(
            inputs,
            fake_quant_kernel(self.effective_kernel, depthwise=True, per_tensor=self.per_tensor),
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
    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        outputs = keras.ops.conv_transpose(
            inputs,
            fake_quant_kernel(self.effective_kernel, transposed=True, per_tensor=self.per_tensor),
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
        return self._finish(keras.ops.matmul(inputs, fake_quant_kernel(self.effective_kernel, per_tensor=self.per_tensor)))


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

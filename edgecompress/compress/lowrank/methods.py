"""The ways to split one kernel: which ranks save multiply-accumulates, what they lose, and the kernels they give.

With P_in, P_mid and P_out places of the input, between, and of the output, a split of W[h, w, i, o] costs, in multiply-accumulates,

    svd, channel   P_out (h w i r + r o)
    spatial        P_mid h i r + P_out w r o                  P_mid: rows of the output, columns of the input
    tucker         P_in i p + P_out (h w p q + q o)
    cp             P_in i r + P_mid h r + P_out (w r + r o)   strided: P_in i r + P_out (h w r + r o), see `Geometry.one_depthwise`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edgecompress.numerics.decompose import (
    Cp,
    Floats,
    MatrixFactors,
    cp,
    factor_matrix,
    factor_responses,
    relative_error,
    spatial_kernels,
    spatial_matrix,
    tucker2,
    tucker_lost,
)

_CP_RANKS = 8
"""How many ranks CP is tried at where no ratio says which: its loss is known only after a run."""


class Method(Enum):
    """How a kernel is split; the value is the word in reports."""

    SVD = "svd"
    SPATIAL = "spatial"
    CHANNEL = "channel"
    TUCKER = "tucker"
    CP = "cp"


@dataclass(frozen=True)
class Geometry:
    """Sizes of one layer.

    Attributes:
        height, width: of the kernel; 1 for Dense.
        inputs, outputs: channels.
        places_in, places_mid, places_out: over all uses of the layer.
        one_depthwise: CP needs one h x w depthwise convolution instead of h x 1 and 1 x w, because it strides and TensorFlow's depthwise
            convolutions stride evenly only.
    """

    height: int
    width: int
    inputs: int
    outputs: int
    places_in: int
    places_mid: int
    places_out: int
    one_depthwise: bool = False

    @property
    def taps(self) -> int:
        return self.height * self.width

    @property
    def macs(self) -> int:
        return self.places_out * self.parameters

    @property
    def parameters(self) -> int:
        """Of the kernel."""
        return self.taps * self.inputs * self.outputs

    def cost(self, method: Method, ranks: Sequence[int]) -> tuple[int, int]:
        """Multiply-accumulates and kernel parameters of a split."""
        p, q = ranks[0], ranks[-1]
        match method:
            case Method.SVD | Method.CHANNEL:
                weights = self.taps * self.inputs * p + p * self.outputs
                return self.places_out * weights, weights
            case Method.SPATIAL:
                first, last = self.height * self.inputs * p, self.width * p * self.outputs
                return self.places_mid * first + self.places_out * last, first + last
            case Method.TUCKER:
                first, last = self.inputs * p, self.taps * p * q + q * self.outputs
                return self.places_in * first + self.places_out * last, first + last
            case Method.CP:
                first, last = self.inputs * p, p * self.outputs
                depthwise, weights = self._cp_depthwise(p)
                return self.places_in * first + depthwise + self.places_out * last, first + weights + last

    def _cp_depthwise(self, rank: int) -> tuple[int, int]:
        if self.one_depthwise or self.height == 1 or self.width == 1:
            return self.places_out * self.taps * rank, self.taps * rank
        return rank * (self.places_mid * self.height + self.places_out * self.width), rank * (self.height + self.width)


@dataclass(frozen=True)
class Point:
    """One split of one kernel.

    Attributes:
        ranks: (r,), or (p, q) of Tucker-2.
        macs: of all uses of the layer.
        parameters: of the kernels.
        lost: share of the energy that is lost, 0 to 1; Tucker-2 before HOOI.
    """

    method: Method
    ranks: tuple[int, ...]
    macs: int
    parameters: int
    lost: float


@dataclass(frozen=True, eq=False)
class Moments:
    """Of a layer's outputs before its activation, over data.

    Attributes:
        mean: [o], without the bias.
        covariance: [o, o], about the mean when the layer has a bias to take it up, else about zero.
    """

    mean: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class Split:
    """The kernels of one split, first to last, each [h, w, channels in, channels out]; depthwise ones [h, w, channels, 1].

    Attributes:
        error: ||W - W'|| / ||W|| of the whole kernel.
        bias: [o] to add to the bias; None for nothing.
    """

    method: Method
    kernels: tuple[Floats, ...]
    error: float
    bias: Floats | None = None


class Candidates:
    """All splits of one kernel that save multiply-accumulates."""

    def __init__(
        self,
        kernel: NDArray[np.floating],
        geometry: Geometry,
        methods: Sequence[Method],
        *,
        multiple_of: int,
        sweeps: int,
        ratio: float | None = None,
        moments: Moments | None = None,
        on_cp: Callable[[int, int], None] | None = None,
    ) -> None:
        """Weigh every rank of the kernel.

        Args:
            kernel: [h, w, i, o].
            ratio: CP runs only at the largest rank within this share of the multiply-accumulates; None: at several ranks.
            moments: SVD and channel splits weigh ranks by these instead of by the kernel alone.
            on_cp: hears how many of the runs of CP are done, and of how many.
        """
        self._kernel = np.asarray(kernel, np.float64)
        self._geometry = geometry
        self._multiple_of = multiple_of
        self._sweeps = sweeps
        self._moments = moments
        self._on_cp = on_cp
        self._factors: dict[Method, MatrixFactors] = {}
        self._runs: dict[int, Cp] = {}
        self.points = [point for method in methods for point in self._points(method, ratio)]

    def split(self, method: Method, ranks: tuple[int, ...]) -> Split:
        """The kernels at these ranks, whether they save anything or not."""
        kernel, bias = self._kernel, None
        match method:
            case Method.SVD | Method.CHANNEL:
                left, right = self._matrix(method).at(ranks[0])
                kernels: tuple[Floats, ...] = (left.reshape(*kernel.shape[:3], -1), right[np.newaxis, np.newaxis])
                whole = (left @ right).reshape(kernel.shape)
                bias = None if self._moments is None else _lost_mean(self._moments.mean, right)
            case Method.SPATIAL:
                left, right = self._matrix(method).at(ranks[0])
                kernels = spatial_kernels(left, right, kernel.shape)
                whole = np.einsum("hxir,ywro->hwio", *kernels, optimize=True)
            case Method.TUCKER:
                tucker = tucker2(kernel, (ranks[0], ranks[1]), self._sweeps)
                kernels = _tucker_kernels(tucker.inputs, tucker.core, tucker.outputs)
                whole = tucker.compose()
            case Method.CP:
                run = self._run_cp(ranks[0])
                kernels = _cp_kernels(run, one_depthwise=self._geometry.one_depthwise)
                whole = run.compose()
        return Split(method, kernels, relative_error(kernel, whole), bias)

    def _points(self, method: Method, ratio: float | None) -> list[Point]:
        if method is Method.TUCKER:
            return self._tucker_points()
        if method is Method.CP:
            return self._cp_points(ratio)
        lost = self._matrix(method).lost()
        return [point for r in self._ranks(len(lost) - 1) if (point := self._point(method, (r,), float(lost[r])))]

    def _tucker_points(self) -> list[Point]:
        """Pairs of ranks for which no other pair loses less at no higher cost.

        A full rank on one side would leave a square 1x1 kernel there that does nothing.
        """
        lost = tucker_lost(self._kernel)
        inputs, outputs = lost.shape[0] - 1, lost.shape[1] - 1
        pairs = [(p, q) for p in self._ranks(inputs) for q in self._ranks(outputs) if p < inputs and q < outputs]
        found = [point for p, q in pairs if (point := self._point(Method.TUCKER, (p, q), float(lost[p, q])))]
        front: list[Point] = []
        for point in sorted(found, key=lambda point: (point.macs, point.lost)):
            if not front or point.lost < front[-1].lost:
                front.append(point)
        return front

    def _cp_points(self, ratio: float | None) -> list[Point]:
        saving = [r for r in self._ranks(self._kernel.size // max(self._kernel.shape)) if self._saves(Method.CP, (r,))]
        if ratio is not None:
            tried = [r for r in saving if self._geometry.cost(Method.CP, (r,))[0] <= ratio * self._geometry.macs][-1:]
        else:
            places = np.unique(np.round(np.geomspace(1, max(len(saving), 1), _CP_RANKS)).astype(int))
            tried = [saving[place - 1] for place in places if saving]
        points = []
        for done, rank in enumerate(tried):
            error = relative_error(self._kernel, self._run_cp(rank).compose())
            points.append(self._point(Method.CP, (rank,), error**2))
            if self._on_cp is not None:
                self._on_cp(done + 1, len(tried))
        return [point for point in points if point is not None]

    def _ranks(self, full: int) -> list[int]:
        """Multiples up to the full rank, and the full rank where it is smaller than one."""
        return list(range(self._multiple_of, full + 1, self._multiple_of)) or [full]

    def _saves(self, method: Method, ranks: tuple[int, ...]) -> bool:
        macs, parameters = self._geometry.cost(method, ranks)
        return macs < self._geometry.macs and parameters < self._geometry.parameters

    def _point(self, method: Method, ranks: tuple[int, ...], lost: float) -> Point | None:
        return Point(method, ranks, *self._geometry.cost(method, ranks), lost) if self._saves(method, ranks) else None

    def _matrix(self, method: Method) -> MatrixFactors:
        known = self._factors.get(method)
        if known is None:
            known = self._factors[method] = self._factor(method)
        return known

    def _factor(self, method: Method) -> MatrixFactors:
        if method is Method.SPATIAL:
            return factor_matrix(spatial_matrix(self._kernel))
        matrix = self._kernel.reshape(-1, self._kernel.shape[-1])
        if self._moments is None:
            return factor_matrix(matrix)
        return factor_responses(matrix, self._moments.covariance)

    def _run_cp(self, rank: int) -> Cp:
        if rank not in self._runs:
            self._runs[rank] = cp(self._kernel, rank, self._sweeps)
        return self._runs[rank]


def _tucker_kernels(inputs: Floats, core: Floats, outputs: Floats) -> tuple[Floats, ...]:
    """The core's size shared evenly by the three kernels, so that no quantizer sees two tiny ones beside a large one."""
    largest = float(np.abs(core).max(initial=0.0))
    share = largest ** (1 / 3) if largest > 0 else 1.0
    return inputs[np.newaxis, np.newaxis] * share, core / share**2, outputs[np.newaxis, np.newaxis] * share


def _cp_kernels(run: Cp, *, one_depthwise: bool) -> tuple[Floats, ...]:
    """1x1, depthwise h x 1, depthwise 1 x w, 1x1; one depthwise kernel where it strides or one of its sides is 1."""
    first, last = run.inputs[np.newaxis, np.newaxis], run.outputs[np.newaxis, np.newaxis]
    vertical, horizontal = run.vertical[:, np.newaxis, :, np.newaxis], run.horizontal[np.newaxis, :, :, np.newaxis]
    if one_depthwise or len(run.vertical) == 1 or len(run.horizontal) == 1:
        return first, vertical * horizontal, last
    return first, vertical, horizontal, last


def _lost_mean(mean: Floats, right: Floats) -> Floats:
    """The part of the mean output that the rows of `right`, which are orthogonal, do not reach."""
    lengths = np.linalg.norm(right, axis=1, keepdims=True)
    rows = right / np.where(lengths > 0, lengths, 1.0)
    return mean - (mean @ rows.T) @ rows

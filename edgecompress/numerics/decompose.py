"""Kernels as products of smaller kernels: truncated SVD, Tucker-2 and CP, in double precision.

A kernel W[h, w, i, o] (height, width, input channel, output channel) is approximated by

    SVD       W[i, o]       ~= sum_r A[i, r] B[r, o]                          Denton et al. 2014; Xue, Li and Gong 2013
    spatial   W[h, w, i, o] ~= sum_r A[h, i, r] B[w, r, o]                    Jaderberg, Vedaldi and Zisserman 2014, scheme 2
    channel   W[h, w, i, o] ~= sum_r A[h, w, i, r] B[r, o]                    Zhang, Zou, He and Sun 2016
    Tucker-2  W[h, w, i, o] ~= sum_pq A[i, p] C[h, w, p, q] B[q, o]           Kim et al. 2016, by HOSVD and HOOI
    CP        W[h, w, i, o] ~= sum_r A[i, r] V[h, r] H[w, r] B[r, o]          Lebedev et al. 2015, by alternating least squares

The first three are matrices in disguise, and their truncated SVD is the best approximation of its rank (Eckart and Young 1936): it loses
the tail of the squared singular values. Tucker-2 by HOSVD loses at most the two tails together (De Lathauwer, De Moor and Vandewalle 2000a,
property 10); HOOI (2000b, section 4) lowers that. Everything is deterministic: the sign of a factor is fixed, random starts are seeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_SEED = 0
# Normal equations of ALS lose rank when two components become parallel; this share of their trace keeps them solvable.
_RIDGE = 1e-12
# HOOI and ALS stop when the share of the energy that is lost falls by less than this in one sweep.
_HOOI_TOLERANCE = 1e-9
_ALS_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class MatrixFactors:
    """left @ right is the matrix; the first r columns and rows are its approximation of rank r.

    Attributes:
        left: [m, k].
        right: [k, n]; row r is as long as column r of `left`.
        energies: [k] what each rank adds, largest first: squared singular values.
    """

    left: Floats
    right: Floats
    energies: Floats

    @property
    def full_rank(self) -> int:
        return len(self.energies)

    def lost(self) -> Floats:
        """[k + 1] share of the energy that rank 0, 1, ... k loses: 1 at rank 0, 0 at full rank."""
        return _tail_shares(self.energies)

    def at(self, rank: int) -> tuple[Floats, Floats]:
        """[m, rank] and [rank, n]."""
        return self.left[:, :rank], self.right[:rank]


def factor_matrix(matrix: NDArray[np.floating]) -> MatrixFactors:
    """The SVD of [m, n], each singular value shared evenly by both sides.

    Through the eigenvectors of the smaller of W'W and WW', which takes a fifth of the time of LAPACK's SVD at 1280 x 1000. All ranks
    together still give the matrix to rounding; only singular values below 1e-8 of the largest are not told apart.
    """
    w = np.asarray(matrix, np.float64)
    if w.shape[0] < w.shape[1]:
        turned = factor_responses(w.T, w @ w.T)
        return MatrixFactors(turned.right.T, turned.left.T, turned.energies)
    return factor_responses(w, w.T @ w)


def factor_responses(matrix: NDArray[np.floating], covariance: NDArray[np.floating]) -> MatrixFactors:
    """Factors whose truncation changes the outputs y = x @ matrix least, where the data's outputs have this covariance.

    The best projection of y on r dimensions spans the first eigenvectors P of E[y y'] (Zhang et al. 2016, section 2.1): matrix @ P and P'.
    It equals the SVD of the matrix whitened by the inputs' second moment, at the size of the outputs.

    Args:
        matrix: [m, n].
        covariance: [n, n], symmetric; second moments about the mean when a bias takes up the mean, else about zero.
    """
    w, c = np.asarray(matrix, np.float64), np.asarray(covariance, np.float64)
    if w.shape[0] < w.shape[1]:
        # Outputs never leave the m dimensions that the matrix spans: the eigenvectors are sought there.
        basis = np.linalg.qr(w.T)[0]
        values, vectors = np.linalg.eigh(basis.T @ c @ basis)
        vectors = basis @ vectors
    else:
        values, vectors = np.linalg.eigh(c)
    vectors = vectors[:, ::-1]
    left, right = _fix_signs(w @ vectors, vectors.T)
    lengths = np.sqrt(np.linalg.norm(left, axis=0))
    # A direction that the matrix never reaches has no length: its factor is zero on both sides.
    share = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return MatrixFactors(left * share, right * lengths[:, np.newaxis], np.maximum(values[::-1], 0.0))


def spatial_matrix(kernel: NDArray[np.floating]) -> Floats:
    """[h, w, i, o] as [h * i, w * o]: rank r is a convolution of h x 1 to r channels, then one of 1 x w."""
    height, width, inputs, outputs = kernel.shape
    return np.asarray(kernel, np.float64).transpose(0, 2, 1, 3).reshape(height * inputs, width * outputs)


def spatial_kernels(left: Floats, right: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """[h, 1, i, r] and [1, w, r, o] from factors of `spatial_matrix`; `shape` is that of the whole kernel."""
    height, width, inputs, outputs = shape
    rank = left.shape[1]
    vertical = left.reshape(height, 1, inputs, rank)
    horizontal = right.reshape(rank, width, outputs).transpose(1, 0, 2)[np.newaxis]
    return vertical, horizontal


@dataclass(frozen=True, eq=False)
class Tucker:
    """A Tucker-2 approximation.

    Attributes:
        inputs: [i, p], orthonormal columns.
        core: [h, w, p, q].
        outputs: [q, o], orthonormal rows.
    """

    inputs: Floats
    core: Floats
    outputs: Floats

    def compose(self) -> Floats:
        """[h, w, i, o] the kernel that the parts stand for."""
        whole: Floats = np.einsum("ip,hwpq,qo->hwio", self.inputs, self.core, self.outputs, optimize=True)
        return whole


def tucker_lost(kernel: NDArray[np.floating]) -> Floats:
    """[i + 1, o + 1] share of the energy that HOSVD loses at every pair of ranks.

    The full core G is computed once; ranks (p, q) keep its first p by q corner: 1 - sum G[:, :, :p, :q]^2 / sum G^2.
    """
    slices = _slices(kernel)
    inputs, outputs = _leading(_input_gram(slices)), _leading(_output_gram(slices))
    core = np.einsum("kio,ip,oq->kpq", slices, inputs, outputs, optimize=True)
    kept = np.zeros((core.shape[1] + 1, core.shape[2] + 1))
    kept[1:, 1:] = np.cumsum(np.cumsum((core**2).sum(axis=0), axis=0), axis=1)
    return np.asarray(np.clip(1.0 - kept / max(kept[-1, -1], np.finfo(np.float64).tiny), 0.0, 1.0))


def tucker2(kernel: NDArray[np.floating], ranks: tuple[int, int], sweeps: int) -> Tucker:
    """Tucker-2 along the channels: HOSVD, then at most `sweeps` of HOOI.

    Args:
        kernel: [h, w, i, o].
        ranks: p <= i and q <= o.
    """
    slices = _slices(kernel)
    outputs = _leading(_output_gram(slices))[:, : ranks[1]]
    inputs = _leading(_input_gram(slices))[:, : ranks[0]]
    total, before = float((slices**2).sum()), -1.0
    for _ in range(sweeps):
        inputs = _leading(_input_gram(slices @ outputs))[:, : ranks[0]]
        reduced = np.einsum("kio,ip->kpo", slices, inputs, optimize=True)
        outputs = _leading(_output_gram(reduced))[:, : ranks[1]]
        kept = float(((reduced @ outputs) ** 2).sum())
        if kept - before <= _HOOI_TOLERANCE * total:
            break
        before = kept
    core = np.einsum("kio,ip,oq->kpq", slices, inputs, outputs, optimize=True)
    return Tucker(inputs, core.reshape(*kernel.shape[:2], *core.shape[1:]), outputs.T)


@dataclass(frozen=True, eq=False)
class Cp:
    """A CP approximation.

    Attributes:
        inputs: [i, r].
        vertical: [h, r].
        horizontal: [w, r].
        outputs: [r, o].
    """

    inputs: Floats
    vertical: Floats
    horizontal: Floats
    outputs: Floats

    def compose(self) -> Floats:
        """[h, w, i, o] the kernel that the parts stand for."""
        taps = np.einsum("hr,wr->hwr", self.vertical, self.horizontal)
        whole: Floats = np.einsum("hwr,ir,ro->hwio", taps, self.inputs, self.outputs, optimize=True)
        return whole


def cp(kernel: NDArray[np.floating], rank: int, sweeps: int) -> Cp:
    """CP by at most `sweeps` of alternating least squares, started from each mode's leading singular vectors.

    Each update solves factor = unfolding @ khatri_rao(others) / hadamard(grams of the others)  (Kolda and Bader 2009, section 3.4).

    Args:
        kernel: [h, w, i, o].
    """
    tensor = np.asarray(kernel, np.float64)
    vertical, horizontal, inputs, outputs = cp_start(tensor, rank)
    total, before = float((tensor**2).sum()), np.inf
    for _ in range(sweeps):
        by_outputs = tensor @ outputs
        inputs = _solve(np.einsum("hwir,hr,wr->ir", by_outputs, vertical, horizontal, optimize=True), vertical, horizontal, outputs)
        vertical = _solve(np.einsum("hwir,ir,wr->hr", by_outputs, inputs, horizontal, optimize=True), inputs, horizontal, outputs)
        horizontal = _solve(np.einsum("hwir,ir,hr->wr", by_outputs, inputs, vertical, optimize=True), inputs, vertical, outputs)
        by_inputs = np.einsum("hwio,ir->hwor", tensor, inputs, optimize=True)
        target = np.einsum("hwor,hr,wr->or", by_inputs, vertical, horizontal, optimize=True)
        outputs = _solve(target, inputs, vertical, horizontal)
        lost = total - 2.0 * float((target * outputs).sum()) + float(_hadamard(inputs, vertical, horizontal, outputs).sum())
        if before - lost <= _ALS_TOLERANCE * total:
            break
        before = lost
    return _balanced(inputs, vertical, horizontal, outputs)


def relative_error(kernel: NDArray[np.floating], approximation: NDArray[np.floating]) -> float:
    """||W - W'|| / ||W||, Frobenius; 0 for a kernel of zeros."""
    size = float(np.linalg.norm(kernel))
    return float(np.linalg.norm(np.asarray(kernel, np.float64) - approximation)) / size if size > 0 else 0.0


def _tail_shares(energies: Floats) -> Floats:
    tails = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])
    return np.asarray(tails / tails[0]) if tails[0] > 0 else np.zeros_like(tails)


def _fix_signs(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Let the largest entry of each row of `right` be positive, whatever LAPACK chose."""
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    signs = np.where(largest < 0, -1.0, 1.0)
    return left * signs, right * signs[:, np.newaxis]


def _slices(kernel: NDArray[np.floating]) -> Floats:
    """[h * w, i, o]."""
    return np.asarray(kernel, np.float64).reshape(-1, *kernel.shape[2:])


def _input_gram(slices: Floats) -> Floats:
    return np.tensordot(slices, slices, axes=((0, 2), (0, 2)))


def _output_gram(slices: Floats) -> Floats:
    return np.tensordot(slices, slices, axes=((0, 1), (0, 1)))


def _leading(gram: Floats) -> Floats:
    """Eigenvectors as columns, the largest eigenvalue first."""
    vectors = np.linalg.eigh(gram)[1][:, ::-1]
    return _fix_signs(vectors, vectors.T)[0]


def cp_start(tensor: Floats, rank: int) -> list[Floats]:
    """Where ALS begins: each mode's leading singular vectors, and normal noise beyond their number.

    Args:
        tensor: [h, w, i, o].

    Returns:
        [size, rank] for each mode.
    """
    rng = np.random.default_rng(_SEED)
    factors = []
    for mode, size in enumerate(tensor.shape):
        unfolded = np.moveaxis(tensor, mode, 0).reshape(size, -1)
        known = _leading(unfolded @ unfolded.T)[:, :rank]
        factors.append(np.concatenate([known, rng.standard_normal((size, max(rank - size, 0)))], axis=1))
    return factors


def _hadamard(*factors: Floats) -> Floats:
    """[r, r] product of the factors' Gram matrices."""
    product = np.ones((factors[0].shape[1],) * 2)
    for factor in factors:
        product = product * (factor.T @ factor)
    return product


def _solve(target: Floats, *others: Floats) -> Floats:
    """[n, r] the factor that solves the normal equations of one mode."""
    gram = _hadamard(*others)
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram) + np.finfo(np.float64).tiny
    return np.asarray(np.linalg.solve(gram, target.T).T, np.float64)


def _balanced(*factors: Floats) -> Cp:
    """The same components with all four factors of one length."""
    lengths = [np.linalg.norm(factor, axis=0) for factor in factors]
    share = np.prod(lengths, axis=0) ** (1 / len(factors))
    scaled = [factor * np.divide(share, n, out=np.zeros_like(n), where=n > 0) for factor, n in zip(factors, lengths, strict=True)]
    inputs, vertical, horizontal, outputs = scaled
    return Cp(inputs, vertical, horizontal, outputs.T)

"""Decompositions of kernels, against NumPy's SVD and tensorly; and the choice of ranks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorly
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import parafac, partial_tucker

from edgecompress.compress.lowrank.choose import best_within, cheapest, distribute
from edgecompress.compress.lowrank.methods import Candidates, Geometry, Method, Moments, Point
from edgecompress.numerics.decompose import (
    cp,
    cp_start,
    factor_matrix,
    factor_responses,
    relative_error,
    spatial_kernels,
    spatial_matrix,
    tucker2,
    tucker_lost,
)


def kernel_of(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (9, 9)])
def test_matrix_factors_are_the_svd(shape):
    """Energies are NumPy's squared singular values, and every rank is as near as Eckart and Young allow."""
    matrix = kernel_of(*shape)
    factors = factor_matrix(matrix)
    singular = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(factors.energies, singular**2, rtol=1e-9)
    for rank in range(1, 8):
        left, right = factors.at(rank)
        assert np.linalg.norm(matrix - left @ right) == pytest.approx(np.sqrt((singular[rank:] ** 2).sum()), abs=1e-9)
        assert factors.lost()[rank] == pytest.approx((singular[rank:] ** 2).sum() / (singular**2).sum(), abs=1e-12)
    np.testing.assert_allclose(np.linalg.norm(factors.left, axis=0), np.linalg.norm(factors.right, axis=1))


def test_a_matrix_of_low_rank_has_factors_of_it():
    """What a matrix does not span costs nothing and divides by nothing."""
    matrix = kernel_of(8, 2) @ kernel_of(2, 6, seed=1)
    factors = factor_matrix(matrix)
    assert factors.lost()[2] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(factors.left[:, :2] @ factors.right[:2], matrix, atol=1e-7)
    assert factor_matrix(np.zeros((3, 4))).lost().tolist() == [0.0] * 4


@pytest.mark.parametrize("count", [5, 9])
def test_response_factors_are_the_svd_of_the_whitened_matrix(count):
    """The least change of outputs over data is the tail of the singular values of X @ W (by NumPy's own SVD), tall or wide."""
    inputs, matrix = kernel_of(200, 6) * np.array([5, 3, 1, 1, 0.1, 0.1]), kernel_of(6, count, seed=1)
    outputs = inputs @ matrix
    factors = factor_responses(matrix, outputs.T @ outputs / len(inputs))
    singular = np.linalg.svd(outputs, compute_uv=False)[:6]
    np.testing.assert_allclose(factors.energies, singular**2 / len(inputs), rtol=1e-6)
    for rank in range(1, len(singular) + 1):
        left, right = factors.at(rank)
        assert np.linalg.norm(outputs - inputs @ left @ right) == pytest.approx(np.sqrt((singular[rank:] ** 2).sum()), abs=1e-8)
    np.testing.assert_allclose(factors.left @ factors.right, matrix, atol=1e-12)


def test_response_split_moves_the_lost_mean_into_the_bias():
    """With moments about the mean, the mean output stays exactly what it was."""
    inputs, kernel = kernel_of(300, 8) + 2.0, kernel_of(1, 1, 8, 6, seed=1)
    outputs = inputs @ kernel[0, 0]
    mean = outputs.mean(axis=0)
    moments = Moments(mean, np.cov(outputs.T, bias=True))
    split = Candidates(kernel, geometry(kernel), (), multiple_of=1, sweeps=1, moments=moments).split(Method.SVD, (2,))
    first, last = split.kernels
    np.testing.assert_allclose((inputs @ first[0, 0] @ last[0, 0] + split.bias).mean(axis=0), mean, atol=1e-10)


def test_spatial_kernels_at_full_rank_are_the_kernel():
    """A convolution of h x 1 followed by one of 1 x w has the whole kernel as its product; its rank-1 error is NumPy's."""
    kernel = kernel_of(3, 5, 2, 4)
    factors = factor_matrix(spatial_matrix(kernel))
    vertical, horizontal = spatial_kernels(*factors.at(factors.full_rank), kernel.shape)
    assert vertical.shape == (3, 1, 2, 6)
    assert horizontal.shape == (1, 5, 6, 4)
    np.testing.assert_allclose(np.einsum("hxir,ywro->hwio", vertical, horizontal), kernel, atol=1e-10)
    by_hand = np.concatenate([np.concatenate([kernel[h, w] for w in range(5)], axis=1) for h in range(3)])
    np.testing.assert_allclose(factors.energies, np.linalg.svd(by_hand, compute_uv=False) ** 2, rtol=1e-8)


def test_tucker_reaches_what_tensorly_reaches():
    """HOOI ends at the error of tensorly's partial Tucker decomposition."""
    kernel = kernel_of(3, 3, 10, 12)
    for ranks in ((4, 6), (8, 3), (1, 1)):
        ours = relative_error(kernel, tucker2(kernel, ranks, 200).compose())
        (core, factors), _ = partial_tucker(tensorly.tensor(kernel), rank=list(ranks), modes=[2, 3], n_iter_max=200, tol=1e-9)
        theirs = relative_error(kernel, np.einsum("hwpq,ip,oq->hwio", core, *factors))
        assert ours <= theirs + 1e-3


def test_tucker_at_full_rank_is_exact_and_hosvd_keeps_its_bound():
    """Nothing is lost at full rank; elsewhere at most the two tails of the unfoldings' singular values, and HOOI never loses more."""
    kernel = kernel_of(3, 2, 6, 5)
    np.testing.assert_allclose(tucker2(kernel, (6, 5), 5).compose(), kernel, atol=1e-12)
    lost = tucker_lost(kernel)
    tails = [1 - np.cumsum(np.linalg.svd(np.moveaxis(kernel, m, 0).reshape(n, -1), compute_uv=False) ** 2) / (kernel**2).sum()
             for m, n in ((2, 6), (3, 5))]  # fmt: skip
    for p in range(1, 7):
        for q in range(1, 6):
            assert lost[p, q] <= tails[0][p - 1] + tails[1][q - 1] + 1e-9
            assert relative_error(kernel, tucker2(kernel, (p, q), 30).compose()) ** 2 <= lost[p, q] + 1e-9
    assert lost[0, 3] == 1.0


def test_cp_reaches_what_tensorly_reaches():
    """From the same start, ALS ends at the error of tensorly's parafac, whichever of them updates its modes first."""
    parts = [kernel_of(size, 3, seed=seed) for seed, size in enumerate((3, 3, 8, 6))]
    kernel = np.einsum("hr,wr,ir,or->hwio", *parts) + 0.5 * kernel_of(3, 3, 8, 6, seed=9)
    for rank in (1, 3):
        ours = relative_error(kernel, cp(kernel, rank, 500).compose())
        start = CPTensor((np.ones(rank), cp_start(kernel, rank)))
        weights, factors = parafac(tensorly.tensor(kernel), rank, n_iter_max=500, init=start, tol=1e-10)
        theirs = relative_error(kernel, np.einsum("r,hr,wr,ir,or->hwio", weights, *factors))
        assert ours == pytest.approx(theirs, abs=2e-3)


def test_cp_finds_a_kernel_of_low_rank():
    """A sum of three outer products is found again; 1 x w kernels too."""
    for shape in ((3, 3, 7, 6), (1, 5, 7, 6)):
        parts = [kernel_of(size, 3, seed=seed) for seed, size in enumerate(shape)]
        kernel = np.einsum("hr,wr,ir,or->hwio", *parts)
        found = cp(kernel, 3, 500)
        assert relative_error(kernel, found.compose()) < 1e-2
        lengths = [np.linalg.norm(factor, axis=0) for factor in (found.inputs, found.vertical, found.horizontal, found.outputs.T)]
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], (4, 3)))


def geometry(kernel: np.ndarray, places: int = 16, **more: bool) -> Geometry:
    return Geometry(*kernel.shape, places_in=places, places_mid=places, places_out=places, **more)


def test_costs_by_hand():
    """Multiply-accumulates and parameters of each split of a 3x3 kernel from 4 to 8 channels, counted by hand."""
    shape = Geometry(3, 3, 4, 8, places_in=64, places_mid=32, places_out=16)
    assert shape.macs == 16 * 9 * 4 * 8
    assert shape.cost(Method.CHANNEL, (2,)) == (16 * (36 * 2 + 2 * 8), 88)
    assert shape.cost(Method.SPATIAL, (2,)) == (32 * 3 * 4 * 2 + 16 * 3 * 2 * 8, 24 + 48)
    assert shape.cost(Method.TUCKER, (2, 3)) == (64 * 4 * 2 + 16 * (9 * 2 * 3 + 3 * 8), 8 + 54 + 24)
    assert shape.cost(Method.CP, (2,)) == (64 * 8 + 2 * (32 * 3 + 16 * 3) + 16 * 16, 8 + 12 + 16)
    strided = Geometry(3, 3, 4, 8, places_in=64, places_mid=32, places_out=16, one_depthwise=True)
    assert strided.cost(Method.CP, (2,)) == (64 * 8 + 16 * 9 * 2 + 16 * 16, 8 + 18 + 16)


def test_candidates_save_and_are_multiples():
    """Only ranks that save both multiply-accumulates and parameters are offered, in the multiples asked for."""
    kernel = kernel_of(3, 3, 12, 16)
    shape = geometry(kernel)
    points = Candidates(kernel, shape, list(Method)[1:], multiple_of=4, sweeps=20).points
    assert {point.method for point in points} == {Method.SPATIAL, Method.CHANNEL, Method.TUCKER, Method.CP}
    assert all(point.macs < shape.macs and point.parameters < shape.parameters for point in points)
    assert all(rank % 4 == 0 for point in points for rank in point.ranks)


def point(macs: int, lost: float) -> Point:
    return Point(Method.SVD, (1,), macs, macs, lost)


def test_energy_and_ratio_choose_by_hand():
    """Energy takes the cheapest split that keeps it, ratio the best one within it; None when there is none."""
    points = [point(10, 0.5), point(20, 0.3), point(30, 0.1), point(25, 0.4)]
    assert cheapest(points, 0.6) == points[1]
    assert cheapest(points, 0.95) is None
    assert best_within(points, 26) == points[1]
    assert best_within(points, 9) is None


def test_budget_spends_where_least_is_lost():
    """Of two layers of 100, the one that loses less per saved multiply-accumulate is split first; the last step fits tightly."""
    layers = [[point(80, 0.02), point(50, 0.2)], [point(90, 0.05), point(50, 0.5)]]
    choice = distribute(layers, [100, 100], 180, lambda p: p.macs)
    assert choice.points == (layers[0][0], None)
    choice = distribute(layers, [100, 100], 145, lambda p: p.macs)
    assert choice.points == (layers[0][1], layers[1][0])
    assert choice.cost == 140


def test_budget_takes_the_best_split_that_fits():
    """Splits above the hull still serve when a step along it saves more than was needed."""
    layers = [[point(90, 0.3), point(50, 0.4)]]
    assert distribute(layers, [100], 95, lambda p: p.macs).points == (layers[0][0],)
    assert distribute(layers, [100], 10, lambda p: p.macs).cost == 50
    assert distribute(layers, [100], 100, lambda p: p.macs).points == (None,)

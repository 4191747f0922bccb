"""Holds every number that `bilens decompose` stores of a direction against what is true of its matrix.

Its matrix is a random_forms.Form.
"""

import numpy as np

from random_forms import UNIT, WIDE

EPS = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}
TOLERANCE = {"float32": 5e-6, "float64": 1e-10}  # of residuals: below, a direction is converged
ROUNDINGS = 40  # sums of at most 24 hidden units, 12 inputs and 3 outputs, each product rounded


class Checks:
    """The numbers of direction i of a layer's tensors, in the unit 2^form.exponent where they are sizes of Q."""

    def __init__(self, form, tensors, i, dtype, solver):
        self.form, self.tensors, self.i, self.dtype = form, tensors, i, dtype
        self.whole = solver in ("dense", "low_rank")
        self.d = len(form.values)
        self.values = self.sized("eigenvalues")
        self.k = len(self.values)
        self.quantum = float(form.reduced(2.0**-1074))  # what a stored number is rounded to at the least
        self.slack = ROUNDINGS * form.noise + 8 * UNIT * form.norm + self.quantum
        self.converged = bool(tensors["converged"][i])

    def sized(self, name):
        return self.form.reduced(self.tensors[name][self.i]).astype(np.float64)

    def plain(self, name):
        return self.tensors[name][self.i].astype(np.float64)

    def within(self, what, found, true, tolerance):
        off = np.max(np.abs(np.asarray(found, WIDE) - np.asarray(true, WIDE)) - tolerance)
        assert off <= 0, f"{what}: found {found}, true {true}, off by {off} more than {tolerance}"

    def everything(self):
        self.finite()
        if self.is_rounding():
            self.rounding()
            return
        self.eigenvalues()
        self.eigenvectors()
        self.sums()
        if "frobenius" in self.tensors:
            self.energies()
        if "certified_bound" in self.tensors:
            self.bound()
        if "linear" in self.tensors:
            self.linear()

    def finite(self):
        for name, tensor in self.tensors.items():
            undefined = (
                name == "certified_bound"
                or name.startswith("effective_rank")
                or (name == "weight_energy" and self.is_rounding())
            )
            assert undefined or np.isfinite(tensor[self.i]).all(), f"{name} is not finite"

    def is_rounding(self):
        """Whether the file says that only rounding is left of the form, as of a multiple of I without its trace."""
        return "floor" in self.tensors and not self.tensors["converged"][self.i] and not self.values.any()

    def rounding(self):
        self.within("what is left", abs(self.form.values[0]), 0, self.sized("floor") + self.slack)
        assert "weight_energy" not in self.tensors or np.isnan(self.plain("weight_energy")).all(), "shares of nothing"

    def eigenvalues(self):
        """The k of largest |λ|, copies and signs included, in their order."""
        form, own = self.form, self.values
        if self.whole or self.converged:
            allowed = self.slack if self.whole else self.slack + 4 * TOLERANCE[self.dtype] * form.norm
            self.within("sizes of eigenvalues", np.sort(abs(own))[::-1], abs(form.values[: self.k]), allowed)
        else:
            allowed = self.slack + self.plain("residuals").max() * form.norm
        left = list(form.values)
        for value in own:
            nearest = min(left, key=lambda other: abs(other - value))
            self.within("eigenvalue", value, nearest, 2 * allowed)
            left.remove(nearest)
        tie = 50 * (EPS["float64"] if self.whole else EPS[self.dtype]) * form.norm
        if "floor" in self.tensors:
            tie = max(tie, float(self.sized("floor")))
        for before, after in zip(own, own[1:]):
            assert abs(after) <= abs(before) + tie + self.slack, "out of order"
        blur = 2 * (self.plain("residuals").max() + (0 if self.whole else TOLERANCE[self.dtype])) * form.norm
        if self.converged:
            self.clusters(tie, blur)
        if self.k < self.d and self.converged:
            apart = abs(form.values[self.k - 1]) - abs(form.values[self.k])
            if apart < tie / 5 - self.slack:
                assert self.tensors["tie_at_k"][self.i], "a tie at k is not said"
            if apart > 2 * tie + blur + 2 * self.slack:
                assert not self.tensors["tie_at_k"][self.i], "a tie at k where there is none"

    def clusters(self, tie, blur):
        """Neighbours in the list share one where λ, and not only |λ|, is not told apart."""
        numbers = self.tensors["cluster"][self.i]
        for before, after, first, second in zip(self.values, self.values[1:], numbers, numbers[1:]):
            apart = abs(before - after)
            if apart < tie / 5 - self.slack:
                assert first == second, f"{before} and {after} in clusters of their own"
            if apart > 2 * tie + blur + 2 * self.slack:
                assert first != second, f"{before} and {after} in one cluster"

    def eigenvectors(self):
        form, x = self.form, self.plain("eigenvectors")
        eps = EPS[self.dtype]
        self.within("orthonormal rows", x @ x.T, np.eye(self.k), 16 * eps)
        assert (x[range(self.k), abs(x).argmax(1)] > 0).all(), "an eigenvector points the other way"
        q = form.reduced(form.q).astype(np.float64)
        norm = form.norm if form.norm > 0 else 1.0
        true = np.linalg.norm(x @ q - self.values[:, None] * x, axis=1) / norm
        stated, noise = self.plain("residuals"), 4 * self.slack / norm
        assert (true <= stated * (1 + 1e-6) + noise).all(), f"residuals {true}, stated {stated}"
        if form.norm > 1e3 * self.slack and (
            self.whole or self.converged
        ):  # a bound, of vectors rounded by eps/2 at most
            assert (stated <= 1.01 * true + 2.5 * eps + noise).all(), f"residuals {true}, stated as much as {stated}"
        assert self.converged == (stated.max() <= TOLERANCE[self.dtype]), "converged, or not"
        error = self.plain("vector_error")
        assert ((0 <= error) & (error <= 1)).all()
        if not self.whole:
            return  # there the gap is that to what the solver saw
        for value, vector, claimed in zip(self.values, x, error):
            nearest = abs(form.values - value).argmin()
            gap = np.delete(abs(form.values - form.values[nearest]), nearest).min(initial=np.inf)
            if gap > 1e3 * self.slack and gap > 0:
                axis = form.vectors[nearest]
                sine = np.linalg.norm(vector - (vector @ axis) * axis)
                assert sine <= claimed * 1.01 + 4 * self.slack / gap, f"off by an angle of {sine}, stated {claimed}"

    def sums(self):
        form = self.form
        allowed = (
            ROUNDINGS * UNIT * form.absolute_trace + (self.d + 1) * 2.0**-1074
        )  # each diagonal entry is rounded to it
        self.within("trace", WIDE(self.tensors["trace"][self.i]), 0 if form.traceless else form.trace, allowed)
        if form.traceless:
            self.within(
                "shift", WIDE(self.tensors["shift"][self.i]), form.trace / self.d, allowed / self.d + 2.0**-1074
            )
        rank = self.plain("effective_rank")
        if self.whole and form.norm > 1e3 * self.slack:
            true = abs(form.values).sum() ** 2 / (form.values**2).sum()
            self.within("effective rank", rank, true, self.d * (1e-11 + 8 * self.d * self.slack / form.norm))
        if not self.whole:
            assert np.isnan(rank), "an effective rank of a spectrum that is not known"

    def energies(self):
        form, found = self.form, self.sized("frobenius")
        true = float(form.reduced(form.frobenius))
        allowed = 2 * np.sqrt(self.d) * self.slack + 8 * UNIT * true
        if not self.whole and true > 0:  # by the Gram matrix, as long as that is good to 1e-10
            allowed += min(1e-9 * true, 64 * UNIT * float(form.reduced(form.size)) ** 2 / true)
        self.within("Frobenius norm", found, true, allowed)
        shares = self.plain("weight_energy")
        assert (shares <= 1).all() and (np.diff(shares) >= 0).all(), f"shares {shares}"
        if true > 1e3 * allowed:
            own = np.cumsum(self.values**2) / true**2
            self.within("energy", shares, own, 4 * allowed / true + 8 * self.k * self.slack / true + 1e-15)

    def bound(self):
        bound, form = self.tensors["certified_bound"][self.i], self.form
        if np.isnan(bound):
            apart = abs(form.values[self.k - 1]) - (abs(form.values[self.k]) if self.k < self.d else 0)
            assert not (self.whole and apart > 1e-6 * form.norm + 1e3 * self.slack), "nothing proved where it is easy"
            return
        reaching = form.reaching(bound)
        assert reaching <= self.k, f"{reaching} eigenvalues reach the bound {bound} proved for {self.k}"

    def linear(self):
        slope, slope_size, constant, constant_size = self.form.linear()
        self.within("linear part", self.tensors["linear"][self.i], slope, ROUNDINGS * UNIT * slope_size + 2.0**-1074)
        self.within(
            "constant", self.tensors["constant"][self.i], constant, ROUNDINGS * UNIT * constant_size + 2.0**-1074
        )

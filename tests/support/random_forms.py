"""Random small bilinear layers of every awkward kind, and what is true of their interaction matrices.

A layer is a dict: W, V [h, d], P [m, h], and perhaps b, c [h], p [m], in the dtype they are stored in. What is true is
computed in long double, whose 64 bits and wide range hold products of such weights, or in mpmath where a comparison is
close.
"""

import mpmath
import numpy as np

WIDE = np.longdouble
UNIT = float(np.finfo(np.float64).eps) / 2  # of one rounding in float64


def orthogonal(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def plain(rng, d, h, m):
    return rng.standard_normal((h, d)), rng.standard_normal((h, d)), rng.standard_normal((m, h))


def planted(rng, d, h, m, values):
    """W = V of orthonormal rows: the values are eigenvalues, up to the rounding of the rows."""
    rows = orthogonal(rng, d)[:, : min(h, d)].T
    w = np.zeros((h, d))
    w[: len(rows)] = rows
    p = np.zeros((m, h))
    for i in range(m):
        p[i, : len(rows)] = np.resize(values(i), len(rows)) * (i + 1)
    return w, w.copy(), p


def clusters(rng, d, h, m):
    apart = 10.0 ** rng.integers(-15, -4)
    return planted(
        rng, d, h, m, lambda i: np.r_[1 + apart * rng.standard_normal(d - d // 2), rng.uniform(-0.9, 0.9, d // 2)]
    )


def pairs(rng, d, h, m):
    sizes = rng.uniform(0.1, 1, (d + 1) // 2)
    return planted(rng, d, h, m, lambda i: np.c_[sizes, -sizes].ravel()[:d])


def low_rank(rng, d, h, m):
    w, v, p = plain(rng, d, h, m)
    keep = rng.integers(0, max(1, min(h, d) // 2) + 1)
    w[keep:] = 0
    return w, v, p


def equal_units(rng, d, h, m):
    """Units that cancel, wholly or nearly."""
    w, v, p = plain(rng, d, h, m)
    half = h // 2
    w[half : 2 * half], v[half : 2 * half] = w[:half], v[:half]
    p[:, half : 2 * half] = -p[:, :half] * (1 + rng.choice([0, 1e-12, 1e-6, 1e-3, 1]))
    return w, v, p


def same_factors(rng, d, h, m):
    w, v, p = plain(rng, d, h, m)
    return w, w * rng.choice([-1, 1]), abs(p)


def scaled(rng, d, h, m):
    """Each matrix of a size between 1e-30 and 1e30."""
    return tuple(a * 10.0 ** rng.uniform(-30, 30) for a in plain(rng, d, h, m))


def unbalanced(rng, d, h, m):
    """Units whose two rows differ in size by what their products have not."""
    w, v, p = plain(rng, d, h, m)
    size = 10.0 ** rng.uniform(-12, 12, (h, 1))
    return w * size, v / size * 10.0 ** rng.uniform(-3, 3, (h, 1)), p


def tiny(rng, d, h, m, exponents=(-45, -37)):
    """Numbers below the normal range of float32."""
    w, v, p = plain(rng, d, h, m)
    return w * 10.0 ** rng.uniform(*exponents), v * 10.0 ** rng.uniform(*exponents), p


def vanishing(rng, d, h, m):
    """Of float64: products of what is stored that float64 holds badly, or not at all."""
    w, v, p = plain(rng, d, h, m)
    return w * 2.0 ** rng.integers(-560, -480), v * 2.0 ** rng.integers(-560, -480), p


def huge(rng, d, h, m):
    """Of float64: weights whose products are beyond its range, though the matrices are within it."""
    w, v, p = plain(rng, d, h, m)
    out = rng.integers(480, 900)
    return w * 2.0**out, v * 2.0 ** rng.integers(-200, 200), p * 2.0**-out


def whole_numbers(rng, d, h, m):
    return tuple(
        a.astype(np.float64)
        for a in (rng.integers(-3, 4, (h, d)), rng.integers(-3, 4, (h, d)), rng.integers(-2, 3, (m, h)))
    )


def zero(rng, d, h, m):
    w, v, p = plain(rng, d, h, m)
    return w * 0, v, p


KINDS = (
    plain,
    clusters,
    clusters,
    pairs,
    low_rank,
    equal_units,
    same_factors,
    scaled,
    unbalanced,
    tiny,
    whole_numbers,
    zero,
)


def draw(rng, d, h, m, dtype, biased=False):
    """A layer of a random kind, with its kind's name."""
    kinds = KINDS + ((vanishing, vanishing, huge, huge) if dtype == np.float64 else ())
    kind = kinds[rng.integers(len(kinds))]
    layer = dict(zip("WVP", (a.astype(dtype) for a in kind(rng, d, h, m))))
    if biased and kind not in (vanishing, huge):
        size = {name: abs(layer[name]).max() for name in "WV"}
        layer.update(
            b=(rng.standard_normal(h) * size["W"]).astype(dtype),
            c=(rng.standard_normal(h) * size["V"]).astype(dtype),
            p=rng.standard_normal(m).astype(dtype),
        )
    return layer, kind.__name__


class Form:
    """What is true of u·y = xᵀQx + l·x + c for one layer and one stored direction u."""

    def __init__(self, layer, u, traceless=False):
        self.layer, self.u, self.traceless = layer, u, traceless
        w, v, p, u = (np.asarray(a, WIDE) for a in (layer["W"], layer["V"], layer["P"], u))
        s, sizes = u @ p, abs(u) @ abs(p)
        q = (w.T * s) @ v
        self.q = (q + q.T) / 2
        self.trace = np.trace(self.q)
        self.absolute_trace = (sizes * (abs(w) * abs(v)).sum(1)).sum()
        d = w.shape[1]
        if traceless:
            self.q = self.q - self.trace / d * np.eye(d, dtype=WIDE)
        # What rounding goes with: Σ (|u||P|)_k ‖w_k‖‖v_k‖.
        self.size = (sizes * np.sqrt((w * w).sum(1) * (v * v).sum(1))).sum()
        self.frobenius = np.sqrt((self.q**2).sum())
        # float64 holds the matrix once its size is taken out.
        largest = abs(self.q).max()
        self.exponent = int(np.floor(np.log2(largest))) if largest > 0 else 0
        values, vectors = np.linalg.eigh(self.reduced(self.q).astype(np.float64))
        order = np.argsort(-abs(values), kind="stable")
        self.values, self.vectors = values[order], vectors[:, order].T  # of Q / 2^exponent, by falling size
        self.norm = abs(self.values[0])
        self.noise = float(self.reduced(self.size)) * UNIT  # one rounding of the largest term, in that unit

    def reduced(self, x):
        return np.ldexp(np.asarray(x, WIDE), -self.exponent)

    def linear(self):
        """l, c and what their rounding goes with."""
        wide = lambda name: np.asarray(self.layer[name], WIDE)
        w, v, p, b, c, u = (*(wide(name) for name in "WVPbc"), np.asarray(self.u, WIDE))
        s, sizes = u @ p, abs(u) @ abs(p)
        slope = w.T @ (s * c) + v.T @ (s * b)
        slope_size = abs(w).T @ (sizes * abs(c)) + abs(v).T @ (sizes * abs(b))
        constant, own = (s * b * c).sum(), wide("p")
        return slope, slope_size, constant + u @ own, (sizes * abs(b * c)).sum() + abs(u) @ abs(own)

    def precise(self, digits=80):
        """Q's eigenvalues from exact products, in mpmath."""
        with mpmath.workdps(digits):
            exact = lambda a: [[mpmath.mpf(float(x)) for x in row] for row in np.atleast_2d(a)]
            w, v, p, (u,) = exact(self.layer["W"]), exact(self.layer["V"]), exact(self.layer["P"]), exact(self.u)
            d, h = len(w[0]), len(w)
            s = [mpmath.fsum(x * row[k] for x, row in zip(u, p)) for k in range(h)]
            q = mpmath.matrix(d, d)
            for i in range(d):
                for j in range(i, d):
                    q[i, j] = q[j, i] = (
                        mpmath.fsum(s[k] * (w[k][i] * v[k][j] + v[k][i] * w[k][j]) for k in range(h)) / 2
                    )
            shift = mpmath.fsum(q[i, i] for i in range(d)) / d if self.traceless else 0
            values = mpmath.eigsy(q, eigvals_only=True)
            return [values[i] - shift for i in range(d)]

    def reaching(self, bound):
        """How many eigenvalues have |λ| ≥ bound, decided in mpmath where it is close."""
        own = float(self.reduced(bound))
        if (abs(abs(self.values) - own) > 64 * (self.noise + UNIT * self.norm)).all():
            return int((abs(self.values) >= own).sum())
        return sum(abs(value) >= mpmath.mpf(float(bound)) for value in self.precise())

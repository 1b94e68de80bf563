"""The search directions of the built-in solvers: L-BFGS and truncated Newton."""

from typing import NamedTuple, cast

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jxent.regression.solvers import objective as ob
from jxent.regression.solvers import preconditioner
from jxent.regression.solvers.descent import (
    FALL,
    Answer,
    LaneState,
    Line,
    Method,
    Turn,
    chosen,
    conditioned,
    directed,
    judged,
    renewed,
    tried,
)
from jxent.regression.solvers.objective import LaneObjective


class Pairs(NamedTuple):
    """Curvature pairs: step s and change of the gradient y, `[PAIRS, L, K, D + 1]`, and rho = 1/⟨s, y⟩, `[PAIRS, L]`.

    The pair of turn t is at t modulo PAIRS. rho is 0 for lanes without an accepted step in that turn. `scale`, `[L]`,
    fits a diagonal preconditioner to the newest pair: ⟨s, y⟩/⟨y, M·y⟩. It is None for blocks, which need none.
    """

    s: Array
    y: Array
    rho: Array
    scale: Array | None


class Lbfgs(Method):
    """D. C. Liu and J. Nocedal, Mathematical Programming 45 (1989), algorithm 2.1 with the two-loop recursion.

    It differs from the paper in:
    1. The initial inverse Hessian is a preconditioner, not a multiple of the identity.
    2. Many lanes take their steps at once, each with its own pairs.
    3. A lane whose line search fails drops its pairs.
    """

    PAIRS = 10
    # Turns after which the preconditioner is computed anew, doubled each time.
    RENEW = 10

    def start(self, point: Array) -> Pairs:
        """No pairs."""
        lanes, classes, columns = point.shape
        none = jnp.zeros((self.PAIRS, *point.shape), point.dtype)
        has_blocks = preconditioner.is_affordable(columns - 1, classes)
        scale = None if has_blocks else jnp.ones((lanes,), point.dtype)
        return Pairs(none, none, jnp.zeros((self.PAIRS, lanes), point.dtype), scale)

    def ask(self, objective: LaneObjective, state: LaneState) -> tuple[Array, None]:
        """The trial points."""
        del objective
        return state.point + ob.times(state.line.step, state.direction), None

    def tell(self, objective: LaneObjective, state: LaneState, turn: Turn) -> LaneState:
        """The state after a trial; lanes whose step is accepted get a new pair and a new direction."""
        at, answer, tolerance, max_steps = turn
        trying = state.convergence.is_active(tolerance, max_steps)
        slope = ob.dot(answer.gradient, state.direction)
        verdict = judged(state.line, state.convergence.value, answer.value, slope)
        success, failed, after = tried(objective, state, at, answer, trying, verdict)
        waited = after.turn - after.inverse_turn >= jnp.maximum(after.inverse_turn, self.RENEW)
        after = renewed(objective, after, (state.turn == 0) | (waited & jnp.any(success)))
        pairs = self._learned(state, at, answer, slope, success, failed)
        if pairs.scale is not None:
            pairs = pairs._replace(scale=self._scaled(objective, after, answer.gradient - state.gradient, pairs))
        direction = -self._two_loops(objective, after, pairs)
        return directed(objective, after._replace(memory=pairs), success | failed, direction)

    def _learned(
        self, state: LaneState, at: Array, answer: Answer, slope: Array, success: Array, failed: Array
    ) -> Pairs:
        """The pairs with that of an accepted step."""
        pairs: Pairs = state.memory
        s, y = at - state.point, answer.gradient - state.gradient
        product = state.line.step * (slope - state.line.slope)
        useful = success & (product > 0) & (state.turn > 0)
        rho = jnp.where(useful, 1.0 / jnp.where(useful, product, 1.0), 0.0)

        def stored(old: Array, new: Array) -> Array:
            return lax.dynamic_update_index_in_dim(old, new, state.turn % self.PAIRS, 0)

        rho = jnp.where(failed[None], 0.0, stored(pairs.rho, rho))
        return Pairs(stored(pairs.s, s), stored(pairs.y, y), rho, pairs.scale)

    def _scaled(self, objective: LaneObjective, state: LaneState, y: Array, pairs: Pairs) -> Array:
        """The scale of the newest pair, or the one before it in lanes without a pair."""
        rho = lax.dynamic_index_in_dim(pairs.rho, (state.turn - 1) % self.PAIRS, keepdims=False)
        product = rho * ob.dot(y, conditioned(objective, state, y))
        return jnp.where(product > 0, 1.0 / jnp.where(product > 0, product, 1.0), cast("Array", pairs.scale))

    def _two_loops(self, objective: LaneObjective, state: LaneState, pairs: Pairs) -> Array:
        """The inverse Hessian times the gradient. As loops: unrolled, they take as long to compile as all the rest."""
        # The turn was counted after its pair was stored.
        newest = state.turn - 1

        def pair(i: Array) -> tuple[Array, ...]:
            at = (newest - i) % self.PAIRS
            return tuple(lax.dynamic_index_in_dim(a, at, keepdims=False) for a in pairs[:3])

        def newest_first(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            (s, y, rho), (q, alphas) = pair(i), carry
            alpha = rho * ob.dot(s, q)
            return q - ob.times(alpha, y), lax.dynamic_update_index_in_dim(alphas, alpha, i, 0)

        def oldest_first(j: Array, r: Array) -> Array:
            i = self.PAIRS - 1 - j
            s, y, rho = pair(i)
            alpha = lax.dynamic_index_in_dim(alphas, i, keepdims=False)
            return r + ob.times(alpha - rho * ob.dot(y, r), s)

        q, alphas = lax.fori_loop(0, self.PAIRS, newest_first, (state.gradient, jnp.zeros_like(pairs.rho)))
        r = conditioned(objective, state, q)
        return lax.fori_loop(0, self.PAIRS, oldest_first, r if pairs.scale is None else ob.times(pairs.scale, r))


class Conjugate(NamedTuple):
    """Conjugate gradients for the Newton equation H·d = −g; the direction d is that of the state.

    Attributes:
        p: conjugate direction, `[L, K, D + 1]`.
        r: residual −g − H·d.
        square: ⟨r, M·r⟩ with the preconditioner M, `[L]`.
        enough: `square` to stop at.
        length: squared length of p in the norm of M⁻¹.
        first: `square` at the start of the fit.
        products: Hessian-vector products of the latest direction, the present one included.
        waiting: whether the lane waits for a product.
    """

    p: Array
    r: Array
    square: Array
    enough: Array
    length: Array
    first: Array
    products: Array
    waiting: Array


class Newton(Method):
    """S. G. Nash, A survey of truncated-Newton methods, J. Computational and Applied Mathematics 124 (2000).

    It differs from the paper in:
    1. The forcing term is min(½, (‖g‖/‖g₀‖)^½) in the norm of the preconditioner: superlinear convergence (R. S. Dembo,
       S. C. Eisenstat and T. Steihaug, SIAM J. Numerical Analysis 19 (1982)).
    2. A conjugate step is at most RADIUS long in the norm of the inverse preconditioner, and the last one if it is cut,
       as in T. Steihaug, SIAM J. Numerical Analysis 20 (1983), but with a line search instead of a trust region.
    3. Many lanes are solved at once: some take a product while others try a step.
    """

    # The largest number of Hessian-vector products for one direction.
    PRODUCTS = 500
    # The preconditioner is computed anew after a direction that took more products than this, and so many turns.
    RENEW = 8
    RADIUS = 10.0

    def start(self, point: Array) -> Conjugate:
        """No direction."""
        zero = jnp.zeros(point.shape[:1], point.dtype)
        none = jnp.zeros(zero.shape, jnp.int32)
        return Conjugate(jnp.zeros_like(point), jnp.zeros_like(point), zero, zero, zero, zero, none, zero > 0)

    def ask(self, objective: LaneObjective, state: LaneState) -> tuple[Array, Array]:
        """The trial points, or the conjugate directions of lanes that wait for a product."""
        conjugate: Conjugate = state.memory
        return chosen(conjugate.waiting, conjugate.p, self.trial(objective, state)), conjugate.waiting

    def trial(self, objective: LaneObjective, state: LaneState) -> Array:
        """The point that the line search tries."""
        del objective
        return state.point + ob.times(state.line.step, state.direction)

    def verdict(self, objective: LaneObjective, state: LaneState, at: Array, answer: Answer) -> tuple[Array, Line]:
        """Whether the trial point is accepted, and the line search after it."""
        del at, objective
        slope = ob.dot(answer.gradient, state.direction)
        return judged(state.line, state.convergence.value, answer.value, slope)

    def free(self, objective: LaneObjective, state: LaneState, vector: Array) -> Array:
        """The entries that may move; all of them."""
        del objective, state
        return vector

    def conditioned(self, objective: LaneObjective, state: LaneState, residual: Array) -> Array:
        """The preconditioner times a residual."""
        return conditioned(objective, state, residual)

    def tell(self, objective: LaneObjective, state: LaneState, turn: Turn) -> LaneState:
        """The state after a trial or a step of conjugate gradients."""
        at, answer, tolerance, max_steps = turn
        was: Conjugate = state.memory
        waiting, first = was.waiting, state.turn == 0
        trying = state.convergence.is_active(tolerance, max_steps) & ~waiting
        verdict = self.verdict(objective, state, at, answer)
        success, failed, after = tried(objective, state, at, answer, trying, verdict)
        product = self.free(objective, state, answer.gradient)
        alpha, cut = self._alpha(was, ob.dot(product, was.p))
        direction = state.direction + ob.times(alpha, was.p)
        active = after.convergence.is_active(tolerance, max_steps)
        costly = jnp.any(active & (was.products > self.RENEW)) & (after.turn - after.inverse_turn > self.RENEW)
        due = first | (costly & jnp.any(success & active))
        after = renewed(objective, after, due)
        # With another preconditioner the directions of a lane are no longer conjugate: it starts again.
        anew = success | failed | (waiting & due)
        direction = chosen(anew, jnp.zeros_like(direction), direction)
        steepest = ob.steepest(objective, after.point, after.gradient)
        r = chosen(anew, -steepest, was.r - ob.times(alpha, product))
        z = self.free(objective, after, self.conditioned(objective, after, r))
        conjugate = self._advanced(was, r, z, anew, first=first)
        ended = waiting & ~anew & (cut | (conjugate.square <= was.enough) | (was.products >= self.PRODUCTS))
        conjugate = conjugate._replace(waiting=(anew & active) | (waiting & ~ended))
        return directed(objective, after._replace(memory=conjugate, direction=direction), ended, direction)

    def _alpha(self, was: Conjugate, curvature: Array) -> tuple[Array, Array]:
        """The step along p, and whether it was cut; where the curvature is rounding it may be negative."""
        longest = self.RADIUS * lax.rsqrt(jnp.where(was.length > 0, was.length, 1.0))
        full = jnp.where(curvature > 0, was.square / jnp.where(curvature > 0, curvature, 1.0), longest)
        return jnp.where(was.waiting, jnp.minimum(full, longest), 0.0), full >= longest

    def _advanced(self, was: Conjugate, r: Array, z: Array, anew: Array, *, first: Array) -> Conjugate:
        """The next conjugate direction from the residual r and z = M·r."""
        square = ob.dot(r, z)
        beta = jnp.where(anew, 0.0, square / jnp.where(was.square > 0, was.square, 1.0))
        first_square = jnp.where(first, square, was.first)
        forcing = jnp.minimum(0.25, jnp.sqrt(square / jnp.where(first_square > 0, first_square, 1.0)))
        return Conjugate(
            p=z + ob.times(beta, was.p),
            r=r,
            square=square,
            enough=jnp.where(anew, forcing * square, was.enough),
            length=square + jnp.square(beta) * was.length,
            first=first_square,
            products=jnp.where(anew, 1, was.products + was.waiting.astype(jnp.int32)),
            waiting=was.waiting,
        )


class SparseNewton(Newton):
    """Newton's method with an l1 penalty, on the weights that are not 0 or whose gradient is beyond the penalty.

    R. H. Byrd, G. M. Chin, J. Nocedal and F. Oztoprak, A family of second-order methods for convex l1-regularized
    optimization, Mathematical Programming 159 (2016). The other weights stay 0 for a step. In the orthant of the point
    the objective is smooth; weights that would leave it become 0. The line search halves the step until the value falls
    by FALL times the slope towards the trial point.
    """

    def trial(self, objective: LaneObjective, state: LaneState) -> Array:
        """The point that the line search tries: a weight that would change its sign becomes 0.

        The sign of a weight of 0 is that of its step of steepest descent.
        """
        trial, l1 = super().trial(objective, state), cast("Array", objective.l1)
        steepest = ob.steepest(objective, state.point, state.gradient)
        orthant = jnp.where(state.point == 0, -jnp.sign(steepest), jnp.sign(state.point))
        return jnp.where((jnp.sign(trial) == orthant) | (l1[:, None, :] == 0), trial, 0.0)

    def verdict(self, objective: LaneObjective, state: LaneState, at: Array, answer: Answer) -> tuple[Array, Line]:
        """Armijo's condition on the way to the trial point."""
        line, start = state.line, state.convergence.value
        slope = ob.dot(ob.steepest(objective, state.point, state.gradient), at - state.point)
        flat = 8 * jnp.finfo(start.dtype).eps * jnp.abs(start)
        accepted = answer.value <= start + FALL * slope + flat
        return accepted, line._replace(step=0.5 * line.step, trials=line.trials + 1)

    def free(self, objective: LaneObjective, state: LaneState, vector: Array) -> Array:
        """The entries of weights that are not 0, or whose gradient is beyond the penalty."""
        steepest = ob.steepest(objective, state.point, state.gradient)
        return jnp.where((state.point != 0) | (steepest != 0), vector, 0.0)

    def conditioned(self, objective: LaneObjective, state: LaneState, residual: Array) -> Array:
        """The inverse blocks, without the split into the mean over the classes and the rest: l1 acts on both."""
        return preconditioner.of_blocks(state.inverse._replace(basis=objective.basis), residual)


METHODS: dict[str, type[Method]] = {"lbfgs": Lbfgs, "newton": Newton, "sparse newton": SparseNewton}

"""Scalar kernels, their derivative rules and the reductions over a row; both rooms are built on them."""

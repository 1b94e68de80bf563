"""Scalar kernels, their derivative rules and the reductions over a row; `probs` and `logits` are built on them."""

"""FDTA: a detector that sees depth, and a decoder that names who is who (arXiv 2512.02392)."""

"""Training of FDTA: clips, what is asked of them, the loop, and what each part is worth."""

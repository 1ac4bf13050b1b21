"""Synthetic RGB-D scenes of people, and a model of the detector that looks at them."""

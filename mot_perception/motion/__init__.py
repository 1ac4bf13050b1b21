"""Where objects will be: Kalman filters as a structure of arrays."""

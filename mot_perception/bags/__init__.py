"""Input and output: bags, MOTChallenge folders, image folders, videos."""

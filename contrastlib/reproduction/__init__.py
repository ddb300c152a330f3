"""The reproduction of the paper: its table, grids of runs, claims, verdicts, figures, ablations."""

"""One run from a plan to its report, of a network or of a classical system."""

"""How good each combination is, and whether another is better: computed from recorded values alone."""

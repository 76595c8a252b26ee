"""Figures, side by side with the peer in one run: medians and ratios, never in a timed test."""

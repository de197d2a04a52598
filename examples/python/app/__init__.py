"""Hands out signed tokens, and says whether one that it is shown is its own."""

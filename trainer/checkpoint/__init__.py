"""Checkpoints: whole or not at all, verified before use, the newest good one found again."""

"""Llama 4 on stock weights and stock configuration classes."""

"""Panels that get values and draw them. render_*.py are functions without Textual."""

"""The screens: each wires values to widgets. Nothing here knows how a supervisor works."""

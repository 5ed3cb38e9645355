"""The shipped presets: one YAML file each."""

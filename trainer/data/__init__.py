"""Data: text → tokens packed once on disk → batches that follow from the step number alone."""

"""One detached process per run: starts the trainer, journals, serves clients, cleans up."""

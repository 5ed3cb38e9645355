"""What the trainer and the cockpit agree on: messages, configuration, run directory. No torch."""

"""The l4cockpit trainer: fine-tunes Llama 4 under torchrun; never imports the cockpit."""

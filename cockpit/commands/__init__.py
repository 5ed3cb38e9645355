"""One module per group of commands; each command is a function of the parsed options."""

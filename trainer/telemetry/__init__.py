"""What the trainer tells about itself, without slowing itself down."""

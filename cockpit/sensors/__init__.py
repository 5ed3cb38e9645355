"""What the machine says about itself. A missing sensor is a missing value, never an exception."""

"""What reports are made of: models beside other engines, strategies beside each other, layers beside the machine."""

"""Learning a device from synthesized layers and chains."""

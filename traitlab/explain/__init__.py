"""Why emoji get likelier or less likely: neurons, directions, adapter parts, interventions, the model's own word."""

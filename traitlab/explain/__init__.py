"""Why emoji get likelier or less likely: neurons, directions, parts of the adapter, interventions, the model's own word."""

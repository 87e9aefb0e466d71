"""The manipulation methods, each of which yields personas: prompt, IKE, MEND, steering, QLoRA."""

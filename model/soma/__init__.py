"""The SoMa notation, read upwards: LFA, tiles, tensors, plan, DLSA, evaluation, schedule, and what is made of them."""

"""What things are and what they cost: network, platform, core array, LFA, plan, DLSA, evaluation."""

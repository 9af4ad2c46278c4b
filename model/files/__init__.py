"""Files of any kind: read, checked and written so that a fault is one clear sentence."""

"""The second stage of one LFA, bounded and solved exactly."""

"""What happens when a schedule runs: its events, and tables of them."""

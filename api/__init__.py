"""The public face: what `import soma_cp` offers, each module one job (docs/api.md)."""

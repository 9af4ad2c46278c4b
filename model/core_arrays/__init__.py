"""Core-array models behind the protocol of `soma_cp.model.core_array`; `registry` knows them by name."""

"""The commands `cero demo` and `cero compare`, which `cero` finds by the entry points of this distribution."""

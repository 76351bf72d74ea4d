"""Transaction families, one file each."""

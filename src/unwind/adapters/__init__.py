"""One folder per outside format. Vendor words stop here; nothing above knows how anybody else spells "refunded"."""

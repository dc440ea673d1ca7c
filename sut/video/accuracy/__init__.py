"""How right the boxes and identities of a stream are."""

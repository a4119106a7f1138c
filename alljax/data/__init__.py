"""From files to cells on the device: reading, checking, splitting, augmenting."""

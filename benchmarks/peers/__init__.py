"""Other libraries, each in its best form, behind one interface."""

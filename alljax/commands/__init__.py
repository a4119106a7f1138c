"""The commands, one file each: arguments and printing only."""

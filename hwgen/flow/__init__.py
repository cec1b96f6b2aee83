"""One function per command; the only place where the three packages meet."""

"""Small tools of fitting."""

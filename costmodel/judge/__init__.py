"""The evidence: drawn cores, records and errors."""

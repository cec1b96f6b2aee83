"""The ground that all packages stand on: errors, files, caches, jobs."""

"""Everything that installs, starts and deploys Quittance."""

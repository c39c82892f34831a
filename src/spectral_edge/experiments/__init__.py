"""Questions beside the paper's claims: discovery on unknown groups, early warning, copies of one seed."""

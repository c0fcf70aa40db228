"""Pages of interventions, a module for each noun."""

"""Plans, fits, results and predictions for a whole portfolio."""

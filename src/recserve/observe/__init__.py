"""What operators look at: stage times, metrics, logs."""

"""What is learned from the past: trends, sealing delays and habits, completeness, growth that doubles."""

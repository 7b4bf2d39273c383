"""What is kept between cycles, and how a reading updates it."""

"""What is taken out of the books for people: the month's export."""

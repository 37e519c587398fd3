"""Every SQL statement of the product. Functions take an open connection and say in their name what they write."""

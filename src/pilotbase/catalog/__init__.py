"""The catalogue: needs and capabilities, the cases between them, and what is counted of them."""

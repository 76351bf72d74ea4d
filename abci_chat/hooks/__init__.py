"""What every block owes beyond its transactions, one file for each duty."""

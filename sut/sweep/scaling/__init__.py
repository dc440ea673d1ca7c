"""How far a cluster scales: 1 to N of its nodes, against linear, against none, and predicted."""

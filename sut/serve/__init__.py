"""From queries to answers: dispatcher, policy, batcher, workers, and the queue model."""

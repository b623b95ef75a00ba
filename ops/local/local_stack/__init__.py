"""What ops/local/stack is made of: processes and ports, Kafka, PostgreSQL, the workers and their supervisor."""
